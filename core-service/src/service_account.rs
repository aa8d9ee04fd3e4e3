//! Service accounts of Google Cloud: the JSON file of their key, and the assertions that they sign, which Google exchanges for
//! access tokens (RFC 7523).

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::{
    SignatureScheme,
    crypto::ring::sign::RsaSigningKey,
    pki_types::{PrivateKeyDer, pem::PemObject},
    sign::SigningKey,
};
use serde::Deserialize;
use serde_json::json;
use url::Url;

/// The scope of the access token: all APIs of Google Cloud.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long an assertion is valid, in seconds: the longest that Google accepts.
const VALIDITY: u64 = 3600;
const DEFAULT_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// A service account with its private key, which the `Debug` output does not contain.
#[derive(Clone)]
pub(crate) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    project: Option<String>,
    token_uri: Url,
    key: Arc<dyn SigningKey>,
}

/// The members of the file.
#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    client_email: Option<String>,
    #[serde(default)]
    private_key: Option<String>,
    #[serde(default)]
    private_key_id: Option<String>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// Parses the file of a key.
    ///
    /// # Errors
    /// The problem and the expected form, as a text to follow the name of a setting. Contains nothing of the file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let File { kind, client_email, private_key, private_key_id, project_id, token_uri } =
            serde_json::from_str(text).map_err(|error| {
                format!(
                    "must be the JSON of a service account's key; it cannot be read at line {}, column {}",
                    error.line(),
                    error.column()
                )
            })?;
        if kind.as_deref() != Some("service_account") {
            return Err(
                "must be the key of a service account: its `type` must be \"service_account\"; credentials of users \
                        and of other identity providers are not supported"
                    .to_owned(),
            );
        }
        let required = |name: &str, member: Option<String>| {
            member.filter(|text| !text.is_empty()).ok_or_else(|| format!("has no `{name}`; download the key again"))
        };
        let pem = required("private_key", private_key)?;
        let key = signing_key(&pem).ok_or(
            "has a `private_key` that cannot be read; it must be an RSA key in PEM form, with its line breaks as `\\n`",
        )?;
        let token_uri = token_uri.unwrap_or_else(|| DEFAULT_TOKEN_URI.to_owned());
        let token_uri = Url::parse(&token_uri).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        Ok(Self {
            email: required("client_email", client_email)?,
            key_id: private_key_id.filter(|id| !id.is_empty()),
            project: project_id.filter(|id| !id.is_empty()),
            token_uri: token_uri.ok_or("has a `token_uri` that is not an http or https URL")?,
            key,
        })
    }

    /// Returns the project of the account.
    pub(crate) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Returns the URL that exchanges assertions for access tokens.
    pub(crate) fn token_uri(&self) -> &Url {
        &self.token_uri
    }

    /// Signs a JSON Web Token (RFC 7519) that requests an access token. `now` is in seconds since 1970. `None` if the key is too
    /// short to sign.
    pub(crate) fn assertion(&self, now: u64) -> Option<String> {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri.as_str(),
            "iat": now,
            "exp": now.saturating_add(VALIDITY),
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let content = format!("{}.{}", encode(&header), encode(&claims));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(content.as_bytes()).ok()?);
        Some(format!("{content}.{signature}"))
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

fn signing_key(pem: &str) -> Option<Arc<dyn SigningKey>> {
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(Arc::new(RsaSigningKey::new(&der).ok()?))
}

#[cfg(test)]
pub(crate) mod testing {
    use serde_json::{Value, json};

    /// Returns the file of a service account's key.
    pub(crate) fn file(token_uri: &str) -> Value {
        // The label is apart from the dashes, so that searches for keys do not find this line.
        let label = "PRIVATE KEY";
        let base64 = include_str!("../../tests/fixtures/keys/service-account.pkcs8.base64");
        json!({
            "type": "service_account",
            "project_id": "project-1",
            "private_key_id": "key-1",
            "private_key": format!("-----BEGIN {label}-----\n{base64}-----END {label}-----\n"),
            "client_email": "video@project-1.iam.gserviceaccount.com",
            "token_uri": token_uri,
        })
    }
}

#[cfg(test)]
mod tests {
    use rustls::{crypto::ring::default_provider, pki_types::SubjectPublicKeyInfoDer};
    use serde_json::Value;

    use super::{testing::file, *};

    /// The number of bytes before an RSA key of 2048 bits in a `SubjectPublicKeyInfo`.
    const KEY_INFO_HEADER: usize = 24;

    fn parse(adjust: impl FnOnce(&mut Value)) -> Result<ServiceAccount, String> {
        let mut file = file("https://token.test/token");
        adjust(&mut file);
        ServiceAccount::parse(&file.to_string())
    }

    #[test]
    fn assertion_is_signed_with_the_private_key() {
        let account = parse(|_| ()).unwrap();
        let assertion = account.assertion(1_795_343_400).unwrap();
        let (content, signature) = assertion.rsplit_once('.').unwrap();
        let (header, claims) = content.split_once('.').unwrap();
        let decoded = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decoded(header), json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
        let expected = json!({"iss": "video@project-1.iam.gserviceaccount.com", "scope": SCOPE,
            "aud": "https://token.test/token", "iat": 1_795_343_400, "exp": 1_795_347_000});
        assert_eq!(decoded(claims), expected);
        let public: SubjectPublicKeyInfoDer<'_> = account.key.public_key().unwrap();
        let algorithms = default_provider().signature_verification_algorithms;
        let by_scheme = algorithms.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let verified =
            by_scheme.unwrap().1[0].verify_signature(&public[KEY_INFO_HEADER..], content.as_bytes(), &signature);
        assert!(verified.is_ok(), "{assertion}");
    }

    #[test]
    fn invalid_file_is_refused_with_what_is_expected() {
        for (member, value, expected) in [
            ("type", json!("authorized_user"), "`type` must be \"service_account\""),
            ("type", Value::Null, "`type` must be \"service_account\""),
            ("client_email", json!(""), "no `client_email`"),
            ("private_key", Value::Null, "no `private_key`"),
            ("private_key", json!("secret"), "RSA key in PEM form"),
            ("token_uri", json!("ftp://a"), "`token_uri`"),
        ] {
            let message = parse(|file| file[member] = value.clone()).unwrap_err();
            assert!(message.contains(expected), "{member}: {message}");
        }
        for text in ["", "secret", "{\"type\":", "{\"type\":7}"] {
            let message = ServiceAccount::parse(text).unwrap_err();
            assert!(message.contains("JSON of a service account's key") && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn optional_members_have_defaults_and_debug_output_has_no_key() {
        let account = parse(|file| {
            for name in ["token_uri", "project_id", "private_key_id"] {
                file[name] = Value::Null;
            }
        });
        let account = account.unwrap();
        assert_eq!((account.token_uri().as_str(), account.project()), (DEFAULT_TOKEN_URI, None));
        let shown = format!("{account:?}");
        assert_eq!(shown, r#"ServiceAccount { email: "video@project-1.iam.gserviceaccount.com", .. }"#);
        let header = account.assertion(0).unwrap().split('.').next().map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        assert_eq!(header.unwrap(), br#"{"alg":"RS256","typ":"JWT"}"#);
    }
}
