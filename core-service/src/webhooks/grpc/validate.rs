//! Validation of the requests of the webhook service.

use std::time::Duration;

use url::Url;

use crate::{config::WebhookEventType, error::Error, media::address_policy::AddressPolicy};

const MAX_URL_BYTES: usize = 2048;
/// The maximum length of the name of an endpoint, in characters.
const MAX_NAME: usize = 256;
/// How long the previous secret can sign beside the new one.
const MAX_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// Validates the URL of an endpoint. The addresses of its host are checked at each attempt.
pub(super) fn url(url: &str, policy: AddressPolicy) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::invalid("url", message));
    let parsed = match Url::parse(url) {
        Ok(parsed) if url.len() <= MAX_URL_BYTES => parsed,
        Ok(_) | Err(_) => {
            return invalid(format!("must be an http or https URL of at most {MAX_URL_BYTES} bytes"));
        }
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return invalid("must not contain a user name or password; verify the signature instead".to_owned());
    }
    policy.check(&parsed).or_else(invalid)
}

/// Validates the name of an endpoint.
pub(super) fn name(text: &str) -> Result<(), Error> {
    match text.chars().count() {
        ..=MAX_NAME => Ok(()),
        length => {
            let message = format!("must have at most {MAX_NAME} characters, not {length}");
            Err(Error::invalid("name", message))
        }
    }
}

/// Parses the type of an event.
pub(super) fn event_type(field: &str, name: &str) -> Result<WebhookEventType, Error> {
    let known = WebhookEventType::ALL.map(|event_type| format!("`{}`", event_type.as_str()));
    WebhookEventType::parse(name).ok_or_else(|| Error::invalid(field, format!("must be {}", known.join(" or "))))
}

/// Parses the types of the events of an endpoint; none stands for all.
pub(super) fn event_types(names: &[String]) -> Result<Vec<WebhookEventType>, Error> {
    let mut found = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let event_type = event_type(&format!("event_types[{index}]"), name)?;
        if !found.contains(&event_type) {
            found.push(event_type);
        }
    }
    Ok(if found.is_empty() { WebhookEventType::ALL.to_vec() } else { found })
}

/// Validates how long the previous secret signs after a rotation.
pub(super) fn overlap(overlap: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    let Some(overlap) = overlap else { return Ok(Duration::ZERO) };
    let overlap = Duration::try_from(*overlap).ok().filter(|overlap| *overlap <= MAX_OVERLAP);
    overlap.ok_or_else(|| Error::invalid("overlap", "must be zero to 7 days (604800 seconds)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_must_be_public_unless_the_policy_permits_others() {
        let check = |text: &str| url(text, AddressPolicy::PUBLIC_ANY_PORT);
        assert_eq!(check("https://a.test:8443/hook?key=1"), Ok(()));
        for wrong in [
            "",
            "a.test",
            "ftp://a.test/",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
            "https://user:password@a.test/",
            &format!("https://a.test/{}", "x".repeat(MAX_URL_BYTES)),
        ] {
            assert!(matches!(check(wrong), Err(Error::InvalidField { field, .. }) if field == "url"), "{wrong}");
        }
        assert_eq!(url("http://127.0.0.1:9/", AddressPolicy::OPEN), Ok(()));
    }

    #[test]
    fn event_types_are_known_and_none_means_all() {
        let types = |names: &[&str]| event_types(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(types(&[]), Ok(WebhookEventType::ALL.to_vec()));
        assert_eq!(types(&["video.failed", "video.failed"]), Ok(vec![WebhookEventType::VideoFailed]));
        let error = types(&["video.failed", "video.started"]).unwrap_err();
        assert_eq!(error.to_string(), "event_types[1]: must be `video.completed` or `video.failed`");
    }

    #[test]
    fn bounds_are_checked() {
        assert!(name(&"ä".repeat(256)).is_ok() && name(&"ä".repeat(257)).is_err());
        let seconds = |seconds| prost_types::Duration { seconds, nanos: 0 };
        assert_eq!(overlap(None), Ok(Duration::ZERO));
        assert_eq!(overlap(Some(&seconds(86_400))), Ok(Duration::from_hours(24)));
        assert!(overlap(Some(&seconds(604_801))).is_err() && overlap(Some(&seconds(-1))).is_err());
    }
}
