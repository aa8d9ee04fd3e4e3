//! Prose answers: what they say, and where they stop.

#![expect(clippy::unwrap_used, reason = "a helper's panic fails the test that called it")]

use offline_chat::{Answer, Choice, Finish, Request, Role, ToolChoice, Turn, answer, count_tokens};

fn ask(text: &str) -> Request {
    Request { turns: vec![Turn::user(text)], n: 1, ..Request::default() }
}

fn text(choice: &Choice) -> String {
    choice.pieces.concat()
}

fn reply(request: &Request) -> String {
    text(&answer(request).unwrap().choices[0])
}

#[test]
fn every_answer_says_what_it_is_and_how_to_get_a_model() {
    for question in
        ["Hello", "What is AI?", "Write a creative story", "How do I sort a list in Python?", "", "Say hi to Bo"]
    {
        let reply = reply(&ask(question));
        let opening: String = reply.chars().take(160).collect();
        assert!(opening.contains("offline engine") && opening.contains("CHAT_BASE_URL"), "{question}: {reply}");
    }
    let chinese = reply(&ask("什么是人工智能？"));
    assert!(
        chinese.contains("离线引擎") && chinese.contains("CHAT_BASE_URL") && chinese.contains("人工智能"),
        "{chinese}"
    );
}

#[test]
fn a_prompt_for_an_image_leads_with_the_prompt() {
    let request = ask("Suggest a creative prompt for a landscape image");
    let first = reply(&request);
    assert!(!first.lines().next().unwrap().contains("Triptych"), "{first}");
    assert!(first.ends_with("set CHAT_BASE_URL to connect one.)"), "{first}");
    let others: std::collections::BTreeSet<_> =
        (0..10).map(|seed| reply(&Request { seed: Some(seed), ..request.clone() })).collect();
    assert!(others.len() >= 8, "seeds hardly matter: {others:#?}");
    assert!(reply(&ask("a prompt for a picture of a red fox, please")).starts_with("A red fox, "));
}

#[test]
fn a_follow_up_leans_on_the_question_before_it() {
    let sort = "How do I sort a list in Python?";
    let first = reply(&ask(sort));
    assert!(first.contains("```python") && first.contains("sorted(numbers)"), "{first}");
    let turns = vec![Turn::user(sort), Turn::assistant(first), Turn::user("Can you show an example?")];
    let second = reply(&Request { turns, ..Request::default() });
    assert!(second.contains("question 2") && second.contains(sort), "{second}");
    assert!(second.contains("key=lambda"), "{second}");
}

#[test]
fn a_story_is_long_enough_for_its_usual_limit() {
    let reply = reply(&ask("Write a creative story"));
    assert!((300..700).contains(&count_tokens(&reply)), "{} tokens", count_tokens(&reply));
}

#[test]
fn what_was_to_be_said_is_said() {
    assert!(reply(&ask("Say this is a test")).ends_with("\n\nthis is a test"));
    assert!(reply(&ask("What is {topic} and {question}?")).contains("{topic} and {question}"));
}

#[test]
fn a_tools_result_is_quoted() {
    let result = Turn { role: Role::Tool, text: "{\"celsius\": 21}".into(), ..Turn::default() };
    let request =
        Request { turns: vec![Turn::user("Weather in Paris?"), Turn::assistant(""), result], ..Request::default() };
    assert!(reply(&request).contains("{\"celsius\": 21}"));
}

#[test]
fn the_limit_is_met_exactly_and_the_shorter_answer_begins_the_longer() {
    for question in ["Write a creative story", "写一个关于海的故事"] {
        let request = ask(question);
        let whole = answer(&request).unwrap();
        assert_eq!(whole.choices[0].finish, Finish::Stop);
        for limit in [0, 1, 7, 50, whole.completion_tokens - 1] {
            let part = answer(&Request { max_tokens: Some(limit), ..request.clone() }).unwrap();
            assert_eq!(part.completion_tokens, limit);
            assert_eq!(part.choices[0].finish, Finish::Length);
            assert!(text(&whole.choices[0]).starts_with(&text(&part.choices[0])));
        }
        let enough = answer(&Request { max_tokens: Some(whole.completion_tokens), ..request }).unwrap();
        assert_eq!(enough, whole);
    }
}

#[test]
fn a_stop_text_ends_the_answer_before_it_even_across_pieces() {
    let request = ask("Write a creative story");
    let whole = reply(&request);
    let stop = "lived a";
    assert!(whole.contains(stop));
    let stopped = answer(&Request { stop: vec!["never".repeat(9), String::new(), stop.into()], ..request }).unwrap();
    assert_eq!(text(&stopped.choices[0]), whole[..whole.find(stop).unwrap()]);
    assert_eq!(stopped.choices[0].finish, Finish::Stop);
}

#[test]
fn choices_differ_and_their_tokens_add_up() {
    for question in ["Hello", "What is AI?", "Say yes", "a prompt for an image of a cat", "Write a story", "你好"] {
        let Answer { choices, completion_tokens, .. } = answer(&Request { n: 40, ..ask(question) }).unwrap();
        let texts: std::collections::BTreeSet<_> = choices.iter().map(text).collect();
        assert_eq!(texts.len(), 40, "{question}");
        assert_eq!(texts.iter().map(|text| count_tokens(text)).sum::<u64>(), completion_tokens);
    }
}

#[test]
fn the_same_request_gives_the_same_bytes_and_a_seed_others() {
    let request = ask("What is AI?");
    assert_eq!(answer(&request), answer(&request.clone()));
    let seeded = |seed, temperature| reply(&Request { seed: Some(seed), temperature, ..request.clone() });
    assert_eq!(seeded(1, None), seeded(1, Some(0.7)));
    assert!((2..20).any(|seed| seeded(seed, None) != seeded(1, None)));
    assert_eq!(seeded(1, Some(0.0)), seeded(2, Some(0.0)));
}

#[test]
fn no_conversation_however_odd_makes_it_panic() {
    let odd = [
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
    for text in odd.into_iter().map(str::to_owned).chain(random) {
        for role in [Role::System, Role::User, Role::Assistant, Role::Tool] {
            let turn =
                Turn { role, text: text.clone(), attachments: vec!["image".into(), "?".into()], ..Turn::default() };
            let request =
                Request { turns: vec![Turn::user(&text), turn], n: 2, max_tokens: Some(60), ..Request::default() };
            answer(&request).unwrap();
        }
    }
    let empty = answer(&Request { tool_choice: ToolChoice::None, ..Request::default() }).unwrap();
    assert_eq!((empty.choices.len(), empty.prompt_tokens), (1, 3));
}
