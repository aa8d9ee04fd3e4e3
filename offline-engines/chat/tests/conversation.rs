//! Prose replies: content, limits and determinism.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the calling test")]

use offline_chat::{Choice, Completion, FinishReason, Request, Role, ToolChoice, Turn, complete, count_tokens};

fn user_request(text: &str) -> Request {
    Request { turns: vec![Turn::user(text)], n: 1, ..Request::default() }
}

fn text(choice: &Choice) -> String {
    choice.pieces.concat()
}

fn reply(request: &Request) -> String {
    text(&complete(request).unwrap().choices[0])
}

#[test]
fn every_reply_discloses_the_engine_and_names_the_setting_for_a_model() {
    for question in
        ["Hello", "What is AI?", "Write a creative story", "How do I sort a list in Python?", "", "Say hi to Bo"]
    {
        let reply = reply(&user_request(question));
        let opening: String = reply.chars().take(160).collect();
        assert!(opening.contains("offline engine") && opening.contains("CHAT_BASE_URL"), "{question}: {reply}");
    }
    let chinese = reply(&user_request("什么是人工智能？"));
    assert!(
        chinese.contains("离线引擎") && chinese.contains("CHAT_BASE_URL") && chinese.contains("人工智能"),
        "{chinese}"
    );
}

#[test]
fn image_prompt_reply_begins_with_the_prompt() {
    let request = user_request("Suggest a creative prompt for a landscape image");
    let first = reply(&request);
    assert!(!first.lines().next().unwrap().contains("Triptych"), "{first}");
    assert!(first.ends_with("set CHAT_BASE_URL to connect one.)"), "{first}");
    let others: std::collections::BTreeSet<_> =
        (0..10).map(|seed| reply(&Request { seed: Some(seed), ..request.clone() })).collect();
    assert!(others.len() >= 8, "too few different replies: {others:#?}");
    assert!(reply(&user_request("a prompt for a picture of a red fox, please")).starts_with("A red fox, "));
}

#[test]
fn follow_up_question_refers_to_the_earlier_message() {
    let sort = "How do I sort a list in Python?";
    let first = reply(&user_request(sort));
    assert!(first.contains("```python") && first.contains("sorted(numbers)"), "{first}");
    let turns = vec![Turn::user(sort), Turn::assistant(first), Turn::user("Can you show an example?")];
    let second = reply(&Request { turns, ..Request::default() });
    assert!(second.contains("question 2") && second.contains(sort), "{second}");
    assert!(second.contains("key=lambda"), "{second}");
}

#[test]
fn story_has_300_to_700_tokens() {
    let reply = reply(&user_request("Write a creative story"));
    assert!((300..700).contains(&count_tokens(&reply)), "{} tokens", count_tokens(&reply));
}

#[test]
fn text_to_repeat_is_repeated_verbatim() {
    assert!(reply(&user_request("Say this is a test")).ends_with("\n\nthis is a test"));
    // Placeholders of the templates are not expanded in the user's text.
    assert!(reply(&user_request("What is {topic} and {question}?")).contains("{topic} and {question}"));
}

#[test]
fn tool_result_is_quoted() {
    let result = Turn { role: Role::Tool, text: "{\"celsius\": 21}".into(), ..Turn::default() };
    let request =
        Request { turns: vec![Turn::user("Weather in Paris?"), Turn::assistant(""), result], ..Request::default() };
    assert!(reply(&request).contains("{\"celsius\": 21}"));
}

#[test]
fn max_tokens_is_met_exactly_and_yields_a_prefix() {
    for question in ["Write a creative story", "写一个关于海的故事"] {
        let request = user_request(question);
        let full = complete(&request).unwrap();
        assert_eq!(full.choices[0].finish_reason, FinishReason::Stop);
        for limit in [0, 1, 7, 50, full.completion_tokens - 1] {
            let part = complete(&Request { max_tokens: Some(limit), ..request.clone() }).unwrap();
            assert_eq!(part.completion_tokens, limit);
            assert_eq!(part.choices[0].finish_reason, FinishReason::Length);
            assert!(text(&full.choices[0]).starts_with(&text(&part.choices[0])));
        }
        let enough = complete(&Request { max_tokens: Some(full.completion_tokens), ..request }).unwrap();
        assert_eq!(enough, full);
    }
}

#[test]
fn stop_sequence_ends_the_content_before_it_even_across_pieces() {
    let request = user_request("Write a creative story");
    let full = reply(&request);
    // Two words, so two tokens. The other two sequences have no effect: one does not occur, one is empty.
    let stop = "lived a";
    assert!(full.contains(stop));
    let stopped = complete(&Request { stop: vec!["never".repeat(9), String::new(), stop.into()], ..request }).unwrap();
    assert_eq!(text(&stopped.choices[0]), full[..full.find(stop).unwrap()]);
    assert_eq!(stopped.choices[0].finish_reason, FinishReason::Stop);
}

#[test]
fn choices_differ_and_completion_tokens_is_their_sum() {
    for question in ["Hello", "What is AI?", "Say yes", "a prompt for an image of a cat", "Write a story", "你好"] {
        let Completion { choices, completion_tokens, .. } =
            complete(&Request { n: 40, ..user_request(question) }).unwrap();
        let texts: std::collections::BTreeSet<_> = choices.iter().map(text).collect();
        assert_eq!(texts.len(), 40, "{question}");
        assert_eq!(texts.iter().map(|text| count_tokens(text)).sum::<u64>(), completion_tokens);
    }
}

#[test]
fn equal_requests_yield_equal_replies_and_seeds_vary_them() {
    let request = user_request("What is AI?");
    assert_eq!(complete(&request), complete(&request.clone()));
    let seeded = |seed, temperature| reply(&Request { seed: Some(seed), temperature, ..request.clone() });
    assert_eq!(seeded(1, None), seeded(1, Some(0.7)));
    assert!((2..20).any(|seed| seeded(seed, None) != seeded(1, None)));
    assert_eq!(seeded(1, Some(0.0)), seeded(2, Some(0.0)));
}

#[test]
fn unusual_text_does_not_panic() {
    let unusual = [
        "",
        " ",
        "\0",
        "\u{feff}",
        "{}{{topic}}",
        "\u{202e}abc",
        "👩‍👩‍👧‍👦",
        "é̀̂",
        "\r\n\r\n",
        "say ",
        "Say 'ß",
        "repeat after me:“”",
        "what is ",
        "什么是",
        "İstanbul İ",
        "prompt image of ßß",
        "提示词 图",
        "1e999 -- 9999999999999999999999.5.5",
        "\"",
        "“",
        "a, b, CC, Dd",
        "- - 1",
        "ﬁ ﬂ",
        "<|endoftext|>",
    ];
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from_u32(u32::try_from(state >> 33).unwrap() % 0x11_0000).unwrap_or(' ')
    };
    let random: Vec<String> = (0..300).map(|length| (0..length % 60).map(|_| noise()).collect()).collect();
    for text in unusual.into_iter().map(str::to_owned).chain(random) {
        for role in [Role::System, Role::User, Role::Assistant, Role::Tool] {
            let turn =
                Turn { role, text: text.clone(), attachments: vec!["image".into(), "?".into()], ..Turn::default() };
            let request =
                Request { turns: vec![Turn::user(&text), turn], n: 2, max_tokens: Some(60), ..Request::default() };
            complete(&request).unwrap();
        }
    }
    // No message: one choice, and the 3 prompt tokens of the reply's opening.
    let empty = complete(&Request { tool_choice: ToolChoice::None, ..Request::default() }).unwrap();
    assert_eq!((empty.choices.len(), empty.prompt_tokens), (1, 3));
}
