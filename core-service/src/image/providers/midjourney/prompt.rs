//! The prompt for the Midjourney bot: the text on one line, followed by parameters such as `--ar 16:9`. It is sent to a proxy, a server
//! that operates the bot.

use openai_dialect::extra_members;

use crate::json::{JsonObject, is_equivalent};
use crate::{
    error::ProviderError,
    image::{
        native_size::Ratio,
        parameters::{Background, ImageParameters, Style},
    },
    media::InputPicture,
};

/// The maximum length of `state`, a text that proxies keep with a task, in bytes.
const MAX_STATE_BYTES: usize = 255;
/// Members that are set here or belong to OpenAI's API only; `extra_json` does not set them, in any case: proxies in Go and C# ignore
/// it.
const RESERVED: [&str; 5] = ["prompt", "base64Array", "state", "moderation", "input_fidelity"];
/// The member with the URL of a webhook, to which a proxy posts the status of a task.
const NOTIFY_HOOK: &str = "notifyHook";

/// Parameters with two names, which the bot takes for the same parameter.
const ALIASES: [[&str; 2]; 7] = [
    ["--ar", "--aspect"],
    ["--v", "--version"],
    ["--s", "--stylize"],
    ["--q", "--quality"],
    ["--c", "--chaos"],
    ["--w", "--weird"],
    ["--style", "--raw"],
];

/// Returns the prompt of a grid; `group` is its index in the request. `configured` are the parameters set by the operator.
///
/// # Errors
/// For requests that Midjourney does not support and Triptych cannot emulate.
pub(super) fn prompt(parameters: &ImageParameters, group: u32, configured: &str) -> Result<String, ProviderError> {
    let refused = |field: &str, message: String| Err(ProviderError::Refused { message, field: Some(field.into()) });
    if parameters.background == Background::Transparent {
        return refused("background", "this model does not support transparent backgrounds".to_owned());
    }
    // Prevents server-side request forgery: the proxy would post to any address in its network that a client names.
    if extra_members(&parameters.extra_json)
        .unwrap_or_default()
        .iter()
        .any(|(name, _)| is_equivalent(name, NOTIFY_HOOK))
    {
        return refused(NOTIFY_HOOK, "must not be set: Triptych polls the tasks itself".to_owned());
    }
    let mut prompt = parameters.prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut add = |names: &[&str], parameter: String| {
        // The bot rejects a repeated parameter; one in the client's prompt takes precedence.
        if !prompt.split(' ').any(|word| names.contains(&word)) {
            prompt.push(' ');
            prompt.push_str(&parameter);
        }
    };
    if let Some(size) = parameters.size {
        add(&["--ar", "--aspect"], format!("--ar {}", Ratio::from_size(size)));
    }
    if let Some(seed) = parameters.seed {
        match seed.checked_add(i64::from(group)).map(u32::try_from) {
            Some(Ok(seed)) => add(&["--seed"], format!("--seed {seed}")),
            Some(Err(_)) | None => {
                return refused(
                    "seed",
                    format!(
                        "seed {seed} must be from 0 to {} for this model and this number of images",
                        u32::MAX - group
                    ),
                );
            }
        }
    }
    if parameters.style == Some(Style::Natural) {
        add(&["--style", "--raw"], "--style raw".to_owned());
    }
    for parameter in split_parameters(configured) {
        let name = parameter.split(' ').next().unwrap_or_default().to_owned();
        match ALIASES.iter().find(|aliases| aliases.contains(&name.as_str())) {
            Some(aliases) => add(aliases, parameter),
            None => add(&[&name], parameter),
        }
    }
    Ok(prompt)
}

/// Splits `--v 7 --no cats, dogs` into `--v 7` and `--no cats, dogs`.
fn split_parameters(text: &str) -> Vec<String> {
    let mut split: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match split.last_mut() {
            Some(last) if !word.starts_with("--") => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => split.push(word.to_owned()),
        }
    }
    split
}

/// Returns the body of `submit/imagine`.
pub(super) fn imagine_body(parameters: &ImageParameters, prompt: &str) -> String {
    let pictures: Vec<_> = parameters.pictures.iter().map(InputPicture::data_url).collect();
    let mut body = JsonObject::default();
    body.add("prompt", prompt);
    body.add("base64Array", pictures);
    if !parameters.user.is_empty() && parameters.user.len() <= MAX_STATE_BYTES {
        body.add("state", parameters.user.as_str());
    }
    // Copied as JSON text: parsed as a double, the ids in `accountFilter` would lose digits.
    for (name, value) in extra_members(&parameters.extra_json).unwrap_or_default() {
        if !RESERVED.iter().any(|reserved| is_equivalent(&name, reserved)) {
            body.add_raw(&name, value);
        }
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::providers::common::testing::parameters, size::Size};
    use serde_json::{Value, json};

    #[test]
    fn request_fields_become_parameters_unless_the_prompt_has_them() {
        let size = Some(Size::new(1792, 1024));
        let base = |prompt: &str| ImageParameters { prompt: prompt.to_owned(), size, ..parameters() };
        for (prompted, configured, expected) in [
            ("a boat", "", "a boat --ar 7:4"),
            ("a\n boat\t", "--v 7", "a boat --ar 7:4 --v 7"),
            ("a boat --ar 1:1", "--v 7 --no cats, dogs", "a boat --ar 1:1 --v 7 --no cats, dogs"),
            ("a boat --aspect 1:1 --v 6", "--v 7 --tile", "a boat --aspect 1:1 --v 6 --tile"),
            ("a boat --version 6 --ar 1:1", "--v 7 --stylize 50", "a boat --version 6 --ar 1:1 --stylize 50"),
            ("a boat", "--aspect 16:9", "a boat --ar 7:4"),
            ("a--ar boat", "", "a--ar boat --ar 7:4"),
        ] {
            assert_eq!(prompt(&base(prompted), 0, configured), Ok(expected.to_owned()));
        }
        let natural = ImageParameters { size: None, seed: Some(7), style: Some(Style::Natural), ..parameters() };
        assert_eq!(prompt(&natural, 2, ""), Ok("a boat --seed 9 --style raw".to_owned()));
    }

    #[test]
    fn unsupported_parameters_are_rejected_with_their_field() {
        let field = |parameters: &ImageParameters| match prompt(parameters, 0, "") {
            Err(ProviderError::Refused { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let transparent = ImageParameters { background: Background::Transparent, ..parameters() };
        assert_eq!(field(&transparent).as_deref(), Some("background"));
        for seed in [-1, 1 << 32, i64::MAX] {
            assert_eq!(field(&ImageParameters { seed: Some(seed), ..parameters() }).as_deref(), Some("seed"));
        }
        // The third one has the Kelvin sign for a K: Go treats them as equal.
        for hook in ["notifyHook", "NOTIFYHOOK", "notifyHoo\u{212a}", "notify\\u0048ook"] {
            let extra_json = format!(r#"{{"botType":"MID_JOURNEY","{hook}":"http://10.0.0.1/"}}"#);
            assert_eq!(field(&ImageParameters { extra_json, ..parameters() }).as_deref(), Some("notifyHook"), "{hook}");
        }
    }

    #[test]
    fn extra_members_are_passed_on_unchanged() {
        let extra_json = r#"{"botType":"NIJI_JOURNEY","accountFilter":{"id":17953501234567891234},"prompt":"x","Prompt":"y","baſe64Array":[],"ſtate":"x"}"#;
        let parameters = ImageParameters { user: "u-1".to_owned(), extra_json: extra_json.to_owned(), ..parameters() };
        let body = imagine_body(&parameters, "a boat");
        let expected = r#","botType":"NIJI_JOURNEY","accountFilter":{"id":17953501234567891234}}"#;
        assert!(body.ends_with(expected), "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&body["prompt"], &body["state"], &body["base64Array"]),
            (&json!("a boat"), &json!("u-1"), &json!([]))
        );
    }
}
