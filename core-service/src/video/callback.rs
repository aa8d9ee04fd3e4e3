//! The check of `callback_url`: the URL of a create request that receives a webhook when the job ends.

use url::Url;

use crate::{config::Webhooks, error::Error, live::Live, media::address_policy::AddressPolicy};

/// Refuses URLs that the webhook of a job could never be sent to. The IP addresses of a host name
/// are checked when the webhook is sent.
#[derive(Debug, Clone)]
pub struct CallbackRule {
    address_policy: AddressPolicy,
    settings: Live<Webhooks>,
}

impl CallbackRule {
    /// Returns the rule of this policy and these settings.
    pub fn new(address_policy: AddressPolicy, settings: Live<Webhooks>) -> Self {
        Self { address_policy, settings }
    }

    /// Checks the `callback_url` of a request.
    ///
    /// # Errors
    /// [`Error::InvalidField`], for every URL if there is no `webhooks.callback_secret` to sign the webhook with.
    pub(super) fn check(&self, url: &str) -> Result<(), Error> {
        let invalid = |message: String| Err(Error::invalid("callback_url", message));
        if self.settings.load().callback_secret.is_none() {
            let message = "is not available, because the operator has not set `webhooks.callback_secret`, which signs the \
                           request; create a webhook endpoint instead, or poll the video";
            return invalid(message.to_owned());
        }
        match Url::parse(url) {
            Ok(url) => self.address_policy.check(&url).or_else(invalid),
            Err(error) => invalid(format!("is not a URL: {error}")),
        }
    }
}

impl Default for CallbackRule {
    /// Returns the rule of the default settings: they have no secret, so every callback is refused.
    fn default() -> Self {
        Self::new(AddressPolicy::PUBLIC_ANY_PORT, Live::new(Webhooks::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook_secret::WebhookSecret;

    #[test]
    fn callback_needs_a_secret_and_a_permitted_address() {
        let settings =
            Webhooks { callback_secret: Some(WebhookSecret::generate().to_text().into()), ..Webhooks::default() };
        let rule = |policy| CallbackRule::new(policy, Live::new(settings.clone()));
        assert_eq!(rule(AddressPolicy::PUBLIC_ANY_PORT).check("https://a.test:8443/hook"), Ok(()));
        assert_eq!(rule(AddressPolicy::OPEN).check("http://127.0.0.1:9/"), Ok(()));
        let refused = rule(AddressPolicy::PUBLIC_ANY_PORT).check("http://127.0.0.1:9/").unwrap_err();
        assert_eq!(refused.to_string(), "callback_url: leads to an address that is not public");
        let refused = CallbackRule::default().check("https://a.test/").unwrap_err().to_string();
        assert!(refused.contains("webhooks.callback_secret"), "{refused}");
    }
}
