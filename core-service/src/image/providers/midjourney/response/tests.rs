//! Task states, failure reasons, links and buttons of single images, and prompts, as Midjourney proxies return them.

use super::*;

fn parse(body: &str) -> Task {
    Task::parse(StatusCode::OK, &HeaderMap::new(), body.as_bytes()).unwrap().unwrap()
}

#[test]
fn unknown_task_states_count_as_running() {
    for status in ["", "NOT_START", "SUBMITTED", "IN_PROGRESS", "PAUSED"] {
        assert_eq!(parse(&format!(r#"{{"status":"{status}"}}"#)).progress(), Progress::Running);
    }
    assert_eq!(parse("{}").progress(), Progress::Running);
    assert_eq!(parse(r#"{"status":"SUCCESS","properties":"","buttons":null}"#).progress(), Progress::Succeeded);
    let modal = parse(r#"{"status":"MODAL"}"#);
    assert!(modal.progress() == Progress::Running && modal.awaits_confirmation());
    assert!(matches!(parse(r#"{"status":"CANCEL"}"#).progress(), Progress::Failed(ProviderError::Broken(_))));
}

#[test]
fn failure_reasons_map_to_provider_errors_by_keyword() {
    type Kind = fn(&ProviderError) -> bool;
    let table: [(&str, Kind); 9] = [
        ("Banned prompt detected", |error| matches!(error, ProviderError::ContentPolicy(_))),
        ("Sorry! Our AI moderators think this is not fine", |error| matches!(error, ProviderError::ContentPolicy(_))),
        ("可能包含敏感词", |error| matches!(error, ProviderError::ContentPolicy(_))),
        ("Your account is blocked account-wide", |error| matches!(error, ProviderError::Credentials(_))),
        ("Subscription required", |error| matches!(error, ProviderError::Credentials(_))),
        ("Job queue is busy", |error| matches!(error, ProviderError::RateLimited { .. })),
        ("任务超时", |error| matches!(error, ProviderError::Timeout(_))),
        ("Discord went away", |error| matches!(error, ProviderError::Broken(_))),
        ("", |error| matches!(error, ProviderError::Broken(_))),
    ];
    for (reason, kind) in table {
        let Progress::Failed(error) = parse(&format!(r#"{{"status":"FAILURE","failReason":"{reason}"}}"#)).progress()
        else {
            panic!("{reason}: not failed");
        };
        assert!(kind(&error), "{reason}: {error:?}");
    }
}

#[test]
fn single_images_are_found_by_links_ids_and_labels() {
    let links = parse(r#"{"imageUrls":[{"url":"a","thumbnail":"t"},"b",{"url":"c"},"d"]}"#);
    assert_eq!(links.single_links(), Some(["a", "b", "c", "d"]));
    for fewer in [r#"{"imageUrls":["a"]}"#, r#"{"imageUrls":[]}"#, r#"{"imageUrls":null}"#, "{}"] {
        assert_eq!(parse(fewer).single_links(), None);
    }
    let buttons = parse(
        r#"{"buttons":[{"customId":"MJ::JOB::upsample::1::5f0c","label":"U1"},{"customId":"MJ::JOB::variation::1::5f0c","label":"V1"},
        {"customId":"other::2","label":"U2"},{"customId":"MJ::JOB::reroll::0::5f0c::SOLO","emoji":"🔄","label":""}]}"#,
    );
    assert_eq!(
        (buttons.upscale_button(0), buttons.upscale_button(1)),
        (Some("MJ::JOB::upsample::1::5f0c"), Some("other::2"))
    );
    assert_eq!((buttons.upscale_button(2), buttons.has_buttons()), (None, true));
    assert!(!parse(r#"{"buttons":[]}"#).has_buttons());
}

#[test]
fn unknown_task_is_not_an_error_yet() {
    let poll = |status: u16, body: &str| {
        Task::parse(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
            .map(|task| task.is_some())
    };
    for (status, body) in [(200, ""), (204, ""), (400, r#"{"code":4,"description":"task_no_found"}"#), (404, "")] {
        assert_eq!(poll(status, body), Ok(false), "{status}");
    }
    assert!(matches!(poll(401, ""), Err(ProviderError::Credentials(_))));
    assert!(matches!(poll(200, "<html>"), Err(ProviderError::Unreadable(_))));
}

#[test]
fn revised_prompt_has_no_links() {
    let revised = |task: serde_json::Value| parse(&task.to_string()).revised_prompt("a boat --ar 8:5");
    let last = |prompt: &str| revised(serde_json::json!({"properties": {"finalPrompt": prompt}, "promptEn": "unread"}));
    for (prompt, expected) in [
        ("a boat --ar 8:5", None),
        ("<https://s.mj.run/Xy1> a boat --ar 8:5", None),
        ("<https://s.mj.run/Xy1> <https://s.mj.run/Xy2> a boat --ar 8:5", None),
        ("https://cdn.discordapp.com/attachments/1/2/3.png?ex=65&is=66&hm=67& a boat --ar 8:5", None),
        ("<https://s.mj.run/Xy1> a boat at sea --ar 8:5", Some("a boat at sea --ar 8:5")),
        ("a boat --sref <https://s.mj.run/Xy1> --ar 8:5", Some("a boat --sref --ar 8:5")),
        ("<https://s.mj.run/Xy1>海边的船 http://s.mj.run/Xy2", Some("海边的船")),
        ("<https://s.mj.run/Xy1", None),
        ("http and <b> a > c", Some("http and <b> a > c")),
    ] {
        assert_eq!(last(prompt).as_deref(), expected, "{prompt}");
    }
    let link = "https://cdn.discordapp.com/attachments/1/2/3.png";
    let english = |prompt: &str| revised(serde_json::json!({"promptEn": format!("{link} {prompt}"), "properties": ""}));
    assert_eq!((english("a boat --ar 8:5"), english("a ship")), (None, Some("a ship".to_owned())));
}

#[test]
fn unexpected_values_beside_an_image_do_not_fail_a_task() {
    let task = parse(
        r#"{"status":"Success","progress":"45%","imageUrl":"https://x.example/1","imageUrls":[7,null,{}],"buttons":"none",
        "failReason":{},"promptEn":7,"properties":"x","id":17,"submitTime":"now"}"#,
    );
    assert_eq!((task.progress(), task.link()), (Progress::Succeeded, Some("https://x.example/1")));
    assert_eq!((task.single_links(), task.has_buttons()), (None, false));
    for progress in ["45", "\"45%\"", "\"45\"", "-1", "null", "{}"] {
        let task = parse(&format!(r#"{{"status":"in_progress","progress":{progress}}}"#));
        assert_eq!(task.progress(), Progress::Running, "{progress}");
    }
    let buttons = r#"{"buttons":[7,{"customId":7,"label":{}},{"customId":"MJ::JOB::upsample::1::5f0c","label":7}]}"#;
    assert_eq!(parse(buttons).upscale_button(0), Some("MJ::JOB::upsample::1::5f0c"));
    assert!(parse(r#"{"status":"modal"}"#).awaits_confirmation());
}
