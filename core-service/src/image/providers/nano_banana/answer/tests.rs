use super::*;

/// What the pieces come to, and how many drafts there were.
fn read(pieces: &[&str]) -> Result<(Outcome, usize, Option<Usage>), ProviderError> {
    let mut answer = Answer::default();
    let mut drafts = 0;
    for piece in pieces {
        drafts += answer.take(piece.as_bytes())?.len();
    }
    let usage = answer.usage();
    Ok((answer.outcome(), drafts, usage))
}

fn outcome(candidate: &str) -> Outcome {
    read(&[&format!(r#"{{"candidates":[{candidate}]}}"#)]).unwrap().0
}

#[test]
fn the_picture_is_the_first_part_that_is_no_thought() {
    let whole = r#"{"candidates":[{"index":0,"finishReason":"STOP","content":{"role":"model","parts":[
        {"thought":true,"text":"hm"},{"thought":true,"inlineData":{"mimeType":"image/jpeg","data":"MQ=="}},
        {"text":" A fox. "},{"inlineData":{"mimeType":"image/png","data":"Mg\u003d\u003d"},"thoughtSignature":"CtQB"},
        {"inline_data":{"mime_type":"image/png","data":"Mw=="}}]}}],
        "usageMetadata":{"promptTokenCount":1130,"candidatesTokenCount":1680,"thoughtsTokenCount":5,"totalTokenCount":2815,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":10},{"modality":"IMAGE","tokenCount":1120}]}}"#;
    let picture = Outcome::Picture { picture: Bytes::from_static(b"2"), words: "A fox.".to_owned() };
    let usage = Usage { input: 1130, input_images: 1120, output: 1685, total: 2815 };
    assert_eq!(read(&[whole]), Ok((picture, 1, Some(usage))));
}

#[test]
fn a_picture_in_pieces_is_the_same_as_one_in_one() {
    let draft = r#"{"candidates":[{"content":{"parts":[{"thought":true,"inlineData":{"data":"MQ=="}}]}}],"usageMetadata":{"promptTokenCount":1}}"#;
    let picture = r#"{"candidates":[{"content":{"parts":[{"inlineData":{"data":"Mg=="}}]}}]}"#;
    let end =
        r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}"#;
    let expected = Outcome::Picture { picture: Bytes::from_static(b"2"), words: String::new() };
    let usage = Some(Usage { input: 9, input_images: 0, output: 2, total: 11 });
    assert_eq!(read(&[draft, draft, picture, end]), Ok((expected, 2, usage)));
    let list = format!("[{draft},{picture},{end}]");
    assert!(matches!(read(&[&list]), Ok((Outcome::Picture { .. }, 1, Some(_)))));
}

#[test]
fn every_way_to_withhold_a_picture_is_the_kind_of_failure_it_is() {
    type Kind = fn(&Outcome) -> bool;
    let policy: Kind = |outcome| matches!(outcome, Outcome::Never(ProviderError::ContentPolicy(_)));
    let words: Kind = |outcome| matches!(outcome, Outcome::Again(ProviderError::Refused { .. }));
    let trouble: Kind = |outcome| matches!(outcome, Outcome::Again(ProviderError::Broken(_)));
    let limit: Kind = |outcome| matches!(outcome, Outcome::Never(ProviderError::Broken(_)));
    let account: Kind = |outcome| matches!(outcome, Outcome::Never(ProviderError::Credentials(_)));
    let nonsense: Kind = |outcome| matches!(outcome, Outcome::Never(ProviderError::Unreadable(_)));
    for (reason, kind) in [
        ("SAFETY", policy),
        ("PROHIBITED_CONTENT", policy),
        ("BLOCKLIST", policy),
        ("SPII", policy),
        ("RECITATION", policy),
        ("IMAGE_SAFETY", policy),
        ("IMAGE_PROHIBITED_CONTENT", policy),
        ("IMAGE_RECITATION", policy),
        ("MODEL_ARMOR", policy),
        ("ESCALATION", policy),
        ("STOP", words),
        ("NO_IMAGE", words),
        ("IMAGE_OTHER", trouble),
        ("OTHER", trouble),
        ("LANGUAGE", trouble),
        ("MALFORMED_RESPONSE", trouble),
        ("MALFORMED_FUNCTION_CALL", trouble),
        ("MISSING_THOUGHT_SIGNATURE", trouble),
        ("UNEXPECTED_TOOL_CALL", trouble),
        ("TOO_MANY_TOOL_CALLS", trouble),
        ("MAX_TOKENS", limit),
        ("CONTINUATION", limit),
        ("PUP_LIMITED_DISABLED", account),
        ("TIRED", nonsense),
    ] {
        let without = outcome(&format!(r#"{{"finishReason":"{reason}"}}"#));
        assert!(kind(&without), "{reason}: {without:?}");
        // Whatever it says, a picture is a picture.
        let part = r#""content":{"parts":[{"inlineData":{"data":"Mg=="}}]}"#;
        assert!(
            matches!(outcome(&format!(r#"{{"finishReason":"{reason}",{part}}}"#)), Outcome::Picture { .. }),
            "{reason}"
        );
    }
    assert!(nonsense(&outcome("")), "no candidates");
    assert!(nonsense(&outcome("{}")), "no end");
}

#[test]
fn the_models_words_are_the_message() {
    let said = outcome(
        r#"{"finishReason":"STOP","content":{"parts":[{"text":"Boats are dull."},{"thought":true,"text":"no"}]}}"#,
    );
    let message = "Boats are dull.".to_owned();
    assert_eq!(said, Outcome::Again(ProviderError::Refused { message, field: None }));
    let told = outcome(r#"{"finishReason":"IMAGE_SAFETY","finishMessage":"not this one"}"#);
    assert_eq!(told, Outcome::Never(ProviderError::ContentPolicy("not this one".to_owned())));
    let blocked =
        read(&[r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9}}"#]);
    let Ok((Outcome::Never(ProviderError::ContentPolicy(text)), 0, Some(_))) = blocked else { panic!("{blocked:?}") };
    assert!(text.contains("PROHIBITED_CONTENT"), "{text}");
}

#[test]
fn what_is_no_answer_is_unreadable_and_an_error_within_one_is_what_it_says() {
    for text in [
        "",
        "<html>",
        "{\"candidates\":7}",
        "[1]",
        r#"{"candidates":[{"content":{"parts":[{"inlineData":{"data":"?"}}]}}]}"#,
    ] {
        assert!(matches!(read(&[text]), Err(ProviderError::Unreadable(_))), "{text}");
    }
    let error = r#"[{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]"#;
    assert_eq!(read(&[error]), Err(ProviderError::unavailable("overloaded".to_owned())));
}
