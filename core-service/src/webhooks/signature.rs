//! Signatures of the Standard Webhooks specification, version 1: <https://github.com/standard-webhooks/standard-webhooks>.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::webhook_secret::WebhookSecret;

/// The header with the id of the event.
pub const WEBHOOK_ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970. Receivers refuse old requests by it.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// Returns the value of the header with the signatures: one for each secret, separated by spaces.
pub(crate) fn signatures(secrets: &[WebhookSecret], id: &str, timestamp: i64, body: &str) -> String {
    let signatures: Vec<_> = secrets.iter().map(|secret| signature(secret, id, timestamp, body)).collect();
    signatures.join(" ")
}

fn signature(secret: &WebhookSecret, id: &str, timestamp: i64, body: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.key()).expect("HMAC accepts keys of every length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of the specification and of its reference libraries.
    #[test]
    fn signature_equals_the_vector_of_the_specification() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_adds_a_signature() {
        let secrets = [WebhookSecret::generate(), WebhookSecret::generate()];
        let each = secrets.clone().map(|secret| signatures(&[secret], "evt_1", 7, "{}"));
        assert_eq!(signatures(&secrets, "evt_1", 7, "{}"), each.join(" "));
        assert_ne!(each[0], each[1]);
    }
}
