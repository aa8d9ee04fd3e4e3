//! Endpoints: the receivers of events, created by clients or listed in the configuration.

use url::Url;
use uuid::Uuid;

use crate::{
    config::{ConfiguredEndpoint, WebhookEventType},
    digest::{Hex, sha256},
    keys::Owner,
    video::time::Timestamp,
    webhook_secret::WebhookSecret,
};

/// The endpoint id of deliveries to the `callback_url` of a video.
pub const CALLBACK: &str = "callback";

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The id.
    pub id: String,
    /// Who created it. `None`: the configuration.
    pub owner: Option<Owner>,
    /// The URL that gets the requests.
    pub url: String,
    /// The types of the events that it receives.
    pub event_types: Vec<WebhookEventType>,
    /// A text that the client chose.
    pub name: String,
    /// The secrets that sign at present, the current one first: one, or two after a rotation. Each adds a signature.
    pub secrets: Vec<WebhookSecret>,
    /// When the second secret stops signing. `None`: there is none, or it is in the settings and signs until it is removed there.
    pub previous_secret_until: Option<Timestamp>,
    /// When it was created. `None`: unknown, for one of the configuration.
    pub created_at: Option<Timestamp>,
    /// The results of its attempts, and whether it is enabled.
    pub state: EndpointState,
}

/// The results of the attempts at an endpoint, and whether it is enabled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointState {
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// Why it is disabled: by its owner, or by the dispatcher after five days without a successful attempt. `None`: it is enabled.
    pub disabled_reason: Option<String>,
}

impl Endpoint {
    /// Returns a new endpoint, to which the caller adds the first secret.
    pub(crate) fn new(
        owner: Owner,
        url: String,
        event_types: Vec<WebhookEventType>,
        name: String,
        now: Timestamp,
    ) -> Self {
        Self {
            id: format!("whe_{}", Uuid::now_v7().simple()),
            owner: Some(owner),
            url,
            event_types,
            name,
            secrets: Vec::new(),
            previous_secret_until: None,
            created_at: Some(now),
            state: EndpointState::default(),
        }
    }

    /// Returns an endpoint of the configuration; `None` if it has no URL, which the validation of the settings refuses. Its id is
    /// derived from its URL, so it is the same after a restart.
    pub(crate) fn configured(settings: &ConfiguredEndpoint) -> Option<Self> {
        let url = settings.url.as_ref()?.to_string();
        Some(Self {
            id: format!("whe_{}", Hex(&sha256(url.as_bytes())[..16])),
            owner: None,
            event_types: settings.event_types().to_vec(),
            name: String::new(),
            secrets: settings.secrets(),
            previous_secret_until: None,
            created_at: None,
            state: EndpointState::default(),
            url,
        })
    }

    /// Returns whether events are sent to it.
    pub(crate) fn is_enabled(&self) -> bool {
        self.state.disabled_reason.is_none()
    }
}

/// Returns the lane of deliveries to a `callback_url`: its host and port. The deliveries of a lane share a part of the attempts in
/// flight, so that slow receivers do not delay the others; the lane of all other deliveries is the id of their endpoint.
pub(crate) fn callback_lane(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let port = url.as_ref().and_then(Url::port_or_known_default).unwrap_or_default();
    format!("{CALLBACK} {host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_of_a_configured_endpoint_depends_on_its_url_alone() {
        let endpoint = |url: &str, secret: &str| {
            let settings = ConfiguredEndpoint {
                url: Some(url.parse().unwrap()),
                secret: Some(secret.into()),
                ..ConfiguredEndpoint::default()
            };
            Endpoint::configured(&settings).unwrap()
        };
        let secret = WebhookSecret::generate();
        let first = endpoint("https://a.test/hook", &secret.to_text());
        assert_eq!(first.id, endpoint("https://a.test/hook", &WebhookSecret::generate().to_text()).id);
        assert_ne!(first.id, endpoint("https://a.test/other", &secret.to_text()).id);
        assert_eq!((first.secrets, first.event_types.len()), (vec![secret], 2));
    }

    #[test]
    fn callbacks_to_one_host_and_port_share_a_lane() {
        assert_eq!(callback_lane("https://A.test/1"), callback_lane("https://a.test:443/2?x=y"));
        assert_ne!(callback_lane("https://a.test/"), callback_lane("http://a.test/"));
    }
}
