//! Images, drafts (images that the model makes while it thinks), texts and finish reasons in complete and streamed responses.

use super::*;

/// Parses the parts of a response. Returns its completion, the number of drafts, and the usage.
fn parse(parts: &[&str]) -> Result<(Completion, usize, Option<Usage>), ProviderError> {
    let mut response = PartialResponse::default();
    let mut drafts = 0;
    for part in parts {
        drafts += response.push(part.as_bytes())?.len();
    }
    let usage = response.usage();
    Ok((response.completion(), drafts, usage))
}

fn completion(candidate: &str) -> Completion {
    parse(&[&format!(r#"{{"candidates":[{candidate}]}}"#)]).unwrap().0
}

#[test]
fn image_is_the_first_one_outside_the_thoughts() {
    let complete = r#"{"candidates":[{"index":0,"finishReason":"STOP","content":{"role":"model","parts":[
        {"thought":true,"text":"hm"},{"thought":true,"inlineData":{"mimeType":"image/jpeg","data":"MQ=="}},
        {"text":" A fox. "},{"inlineData":{"mimeType":"image/png","data":"Mg\u003d\u003d"},"thoughtSignature":"CtQB"},
        {"inline_data":{"mime_type":"image/png","data":"Mw=="}}]}}],
        "usageMetadata":{"promptTokenCount":1130,"candidatesTokenCount":1680,"thoughtsTokenCount":5,"totalTokenCount":2815,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":10},{"modality":"IMAGE","tokenCount":1120}]}}"#;
    let picture = Completion::Image { picture: Bytes::from_static(b"2"), text: "A fox.".to_owned() };
    let usage = Usage { input: 1130, input_images: 1120, output: 1685, total: 2815 };
    assert_eq!(parse(&[complete]), Ok((picture, 1, Some(usage))));
}

#[test]
fn streamed_and_complete_responses_have_the_same_result() {
    let draft = r#"{"candidates":[{"content":{"parts":[{"thought":true,"inlineData":{"data":"MQ=="}}]}}],"usageMetadata":{"promptTokenCount":1}}"#;
    let picture = r#"{"candidates":[{"content":{"parts":[{"inlineData":{"data":"Mg=="}}]}}]}"#;
    let end =
        r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}"#;
    let expected = Completion::Image { picture: Bytes::from_static(b"2"), text: String::new() };
    let usage = Some(Usage { input: 9, input_images: 0, output: 2, total: 11 });
    assert_eq!(parse(&[draft, draft, picture, end]), Ok((expected, 2, usage)));
    let list = format!("[{draft},{picture},{end}]");
    assert!(matches!(parse(&[&list]), Ok((Completion::Image { .. }, 1, Some(_)))));
}

#[test]
fn finish_reasons_map_to_provider_errors() {
    type Kind = fn(&Completion) -> bool;
    let policy: Kind = |completion| matches!(completion, Completion::Final(ProviderError::ContentPolicy(_)));
    let no_image: Kind = |completion| matches!(completion, Completion::Retryable(ProviderError::Refused { .. }));
    let failure: Kind = |completion| matches!(completion, Completion::Retryable(ProviderError::Broken(_)));
    let limit: Kind = |completion| matches!(completion, Completion::Final(ProviderError::Broken(_)));
    let account: Kind = |completion| matches!(completion, Completion::Final(ProviderError::Credentials(_)));
    let unreadable: Kind = |completion| matches!(completion, Completion::Final(ProviderError::Unreadable(_)));
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
        ("STOP", no_image),
        ("NO_IMAGE", no_image),
        ("IMAGE_OTHER", failure),
        ("OTHER", failure),
        ("LANGUAGE", failure),
        ("MALFORMED_RESPONSE", failure),
        ("MALFORMED_FUNCTION_CALL", failure),
        ("MISSING_THOUGHT_SIGNATURE", failure),
        ("UNEXPECTED_TOOL_CALL", failure),
        ("TOO_MANY_TOOL_CALLS", failure),
        ("MAX_TOKENS", limit),
        ("CONTINUATION", limit),
        ("PUP_LIMITED_DISABLED", account),
        ("TIRED", unreadable),
    ] {
        let without = completion(&format!(r#"{{"finishReason":"{reason}"}}"#));
        assert!(kind(&without), "{reason}: {without:?}");
        // An image is a success with any finish reason.
        let part = r#""content":{"parts":[{"inlineData":{"data":"Mg=="}}]}"#;
        assert!(
            matches!(completion(&format!(r#"{{"finishReason":"{reason}",{part}}}"#)), Completion::Image { .. }),
            "{reason}"
        );
    }
    assert!(unreadable(&completion("")), "no candidates");
    assert!(unreadable(&completion("{}")), "no finish reason");
}

#[test]
fn text_of_the_model_becomes_the_error_message() {
    let text = completion(
        r#"{"finishReason":"STOP","content":{"parts":[{"text":"Boats are dull."},{"thought":true,"text":"no"}]}}"#,
    );
    let message = "Boats are dull.".to_owned();
    assert_eq!(text, Completion::Retryable(ProviderError::Refused { message, field: None }));
    let finish_message = completion(r#"{"finishReason":"IMAGE_SAFETY","finishMessage":"not this one"}"#);
    assert_eq!(finish_message, Completion::Final(ProviderError::ContentPolicy("not this one".to_owned())));
    let blocked =
        parse(&[r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9}}"#]);
    let Ok((Completion::Final(ProviderError::ContentPolicy(text)), 0, Some(_))) = blocked else {
        panic!("{blocked:?}")
    };
    assert!(text.contains("PROHIBITED_CONTENT"), "{text}");
}

#[test]
fn invalid_response_is_unreadable_and_embedded_error_is_mapped() {
    for text in [
        "",
        "<html>",
        "{\"candidates\":7}",
        "[1]",
        r#"{"candidates":[{"content":{"parts":[{"inlineData":{"data":"?"}}]}}]}"#,
        r#"{"candidates":[{"finishReason":"STOP","content":{"parts":[{"inlineData":{"data":"?"}}]}}]}"#,
    ] {
        let parsed = parse(&[text]);
        assert!(matches!(parsed, Ok((Completion::Final(ProviderError::Unreadable(_)), 0, None))), "{text}: {parsed:?}");
    }
    let error = r#"[{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]"#;
    let error = parse(&[error]).unwrap_err();
    assert_eq!(*error.failure(), ProviderError::unavailable("overloaded".to_owned()));
    assert_eq!(error.details().unwrap().members_json, r#"{"status":"UNAVAILABLE"}"#);
}

#[test]
fn unexpected_values_beside_an_image_do_not_fail_it() {
    let image = r#"{"inlineData":{"mimeType":7,"data":"Mg=="},"thought":null,"text":7}"#;
    for response in [
        format!(r#"{{"candidates":[{{"content":{{"parts":[7,null,{{"text":{{}}}},{image}]}},"finishReason":7}}]}}"#),
        format!("\u{feff}{{\"candidates\":[null,{{\"content\":{{\"parts\":{image}}}}}],\"usageMetadata\":7}}"),
        format!(
            r#"{{"candidates":{{"content":{{"parts":[{{"inlineData":{{"data":"?"}}}},{image}]}}}},"promptFeedback":"x",
                "usageMetadata":{{"promptTokenCount":-1,"candidatesTokenCount":"x","totalTokenCount":null}},
                "error":{{"message":"late"}}}}"#
        ),
    ] {
        let expected = Completion::Image { picture: Bytes::from_static(b"2"), text: String::new() };
        assert_eq!(parse(&[&response]), Ok((expected, 0, None)), "{response}");
    }
    let complete = format!(r#"{{"candidates":[{{"content":{{"parts":[{image}]}}}}]}}"#);
    let draft = r#"{"candidates":[{"content":{"parts":[{"thought":"true","inlineData":{"data":"?"}}]}}]}"#;
    assert!(matches!(parse(&["hello", draft, &complete, "{"]), Ok((Completion::Image { .. }, 0, _))));
}
