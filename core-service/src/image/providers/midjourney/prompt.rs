//! What is asked of the bot: the words on one line, then the parameters that say the rest.

use base64::{Engine, engine::general_purpose::STANDARD};
use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::super::super::{Background, ImageSpec, Ratio, Style};
use crate::error::ProviderError;

/// Longest `state` that a proxy keeps.
const MAX_STATE: usize = 255;
/// Members that are written here, and OpenAI's own, which mean nothing to a proxy.
const OURS: [&str; 5] = ["prompt", "base64Array", "state", "moderation", "input_fidelity"];
/// Where a proxy posts what becomes of a task.
const HOOK: &str = "notifyHook";

/// Whether a proxy could take the one for the other: those in Go and C# do not mind the case of a member's letters.
fn is_read_as(name: &str, member: &str) -> bool {
    name.to_lowercase() == member.to_lowercase()
}

/// The prompt of a grid, the `group`th of the request. `parameters` are the operator's.
///
/// # Errors
/// For what the bot cannot do and nobody here can do for it.
pub(super) fn prompt(spec: &ImageSpec, group: u32, parameters: &str) -> Result<String, ProviderError> {
    let refused = |field: &str, message: String| Err(ProviderError::Refused { message, field: Some(field.into()) });
    if spec.background == Background::Transparent {
        return refused("background", "this model paints no transparent background".to_owned());
    }
    // The operator's proxy would post to any address of its network that a caller names.
    if extra_members(&spec.extra_json).unwrap_or_default().iter().any(|(name, _)| is_read_as(name, HOOK)) {
        return refused(HOOK, "is not taken: the service looks at its tasks itself".to_owned());
    }
    let mut prompt = spec.prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut add = |names: &[&str], parameter: String| {
        // The bot refuses a parameter that is there twice; the caller's own counts.
        if !prompt.split(' ').any(|word| names.contains(&word)) {
            prompt.push(' ');
            prompt.push_str(&parameter);
        }
    };
    if let Some(size) = spec.size {
        add(&["--ar", "--aspect"], format!("--ar {}", Ratio::of(size)));
    }
    if let Some(seed) = spec.seed {
        match seed.checked_add(i64::from(group)).map(u32::try_from) {
            Some(Ok(seed)) => add(&["--seed"], format!("--seed {seed}")),
            Some(Err(_)) | None => return refused("seed", format!("must be from 0 to {} for this model", u32::MAX)),
        }
    }
    if spec.style == Some(Style::Natural) {
        add(&["--style", "--raw"], "--style raw".to_owned());
    }
    for parameter in by_parameter(parameters) {
        let name = parameter.split(' ').next().unwrap_or_default().to_owned();
        add(&[&name], parameter);
    }
    Ok(prompt)
}

/// `--v 7 --no cats, dogs` taken apart.
fn by_parameter(parameters: &str) -> Vec<String> {
    let mut apart: Vec<String> = Vec::new();
    for word in parameters.split_whitespace() {
        match apart.last_mut() {
            Some(last) if !word.starts_with("--") => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => apart.push(word.to_owned()),
        }
    }
    apart
}

/// The body that asks for a grid.
pub(super) fn imagine(spec: &ImageSpec, prompt: &str) -> String {
    let picture = |picture: &crate::media::InputPicture| {
        format!("data:{};base64,{}", picture.format.as_str(), STANDARD.encode(&picture.bytes))
    };
    let pictures: Vec<_> = spec.pictures.iter().map(picture).collect();
    let mut body = json!({"prompt": prompt, "base64Array": pictures});
    if !spec.user.is_empty() && spec.user.len() <= MAX_STATE {
        body["state"] = spec.user.as_str().into();
    }
    let mut body = body.to_string();
    // Raw text: task ids of a filter are longer than a double's digits.
    for (name, value) in extra_members(&spec.extra_json).unwrap_or_default() {
        if !OURS.iter().any(|ours| is_read_as(&name, ours)) {
            body.pop();
            body.extend([",", &Value::from(name).to_string(), ":", value, "}"]);
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::providers::tests::spec, size::Size};

    #[test]
    fn what_the_caller_wants_becomes_parameters_unless_the_prompt_has_them() {
        let size = Some(Size::new(1792, 1024));
        let base = |prompt: &str| ImageSpec { prompt: prompt.to_owned(), size, ..spec() };
        for (prompted, parameters, expected) in [
            ("a boat", "", "a boat --ar 7:4"),
            ("a\n boat\t", "--v 7", "a boat --ar 7:4 --v 7"),
            ("a boat --ar 1:1", "--v 7 --no cats, dogs", "a boat --ar 1:1 --v 7 --no cats, dogs"),
            ("a boat --aspect 1:1 --v 6", "--v 7 --tile", "a boat --aspect 1:1 --v 6 --tile"),
            ("a--ar boat", "", "a--ar boat --ar 7:4"),
        ] {
            assert_eq!(prompt(&base(prompted), 0, parameters), Ok(expected.to_owned()));
        }
        let natural = ImageSpec { size: None, seed: Some(7), style: Some(Style::Natural), ..spec() };
        assert_eq!(prompt(&natural, 2, ""), Ok("a boat --seed 9 --style raw".to_owned()));
    }

    #[test]
    fn what_the_bot_cannot_do_is_refused_by_name() {
        let field = |spec: &ImageSpec| match prompt(spec, 0, "") {
            Err(ProviderError::Refused { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let clear = ImageSpec { background: Background::Transparent, ..spec() };
        assert_eq!(field(&clear).as_deref(), Some("background"));
        for seed in [-1, 1 << 32, i64::MAX] {
            assert_eq!(field(&ImageSpec { seed: Some(seed), ..spec() }).as_deref(), Some("seed"));
        }
        // The third has the sign of Kelvin for a letter, which Go reads as one.
        for hook in ["notifyHook", "NOTIFYHOOK", "notifyHoo\u{212a}", "notify\\u0048ook"] {
            let extra_json = format!(r#"{{"botType":"MID_JOURNEY","{hook}":"http://10.0.0.1/"}}"#);
            assert_eq!(field(&ImageSpec { extra_json, ..spec() }).as_deref(), Some("notifyHook"), "{hook}");
        }
    }

    #[test]
    fn what_has_no_field_reaches_the_proxy_as_it_was_written() {
        let extra_json =
            r#"{"botType":"NIJI_JOURNEY","accountFilter":{"id":17953501234567891234},"prompt":"x","Prompt":"y"}"#;
        let spec = ImageSpec { user: "u-1".to_owned(), extra_json: extra_json.to_owned(), ..spec() };
        let body = imagine(&spec, "a boat");
        let expected = r#","botType":"NIJI_JOURNEY","accountFilter":{"id":17953501234567891234}}"#;
        assert!(body.ends_with(expected), "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&body["prompt"], &body["state"], &body["base64Array"]),
            (&json!("a boat"), &json!("u-1"), &json!([]))
        );
    }
}
