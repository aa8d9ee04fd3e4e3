//! Recognizes requests of web pages of other origins. A page that a user opens can send requests to any address that
//! the user's browser reaches, among them a server on the same machine, without a preflight and without reading the
//! response.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The relation of the page's origin to this server, which browsers send with a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns a description of the origin of a request if it was sent by a web page of another origin that is not among the
/// allowed ones; `*` allows all. `own_authority` returns host and port of this server. Clients other than browsers send no
/// `Origin`.
pub fn foreign_origin(
    headers: &HeaderMap,
    allowed: &[String],
    own_authority: impl FnOnce() -> String,
) -> Option<String> {
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    // Scripts cannot set this header. It is checked first because a proxy may have changed `Host`, with which `Origin` is compared below.
    if site == Some(b"same-origin".as_slice()) {
        return None;
    }
    let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
    if origins.peek().is_none() {
        // `same-site` is another origin as well, for example another port of this machine.
        let is_foreign =
            matches!(site, Some(b"cross-site" | b"same-site")) && !allowed.iter().any(|origin| origin == "*");
        return is_foreign.then(|| "another origin".to_owned());
    }
    let own_authority = own_authority();
    origins.find_map(|origin| {
        let origin = origin.to_str().unwrap_or("null");
        let is_listed = allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
        (!is_listed && !is_own(origin, &own_authority)).then(|| format!("origin \"{origin:.100}\""))
    })
}

/// Returns whether an origin is this server. Schemes are not compared: a proxy in front may have terminated TLS.
fn is_own(origin: &str, authority: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let without_port = |host: &str| host.strip_suffix(default_port).unwrap_or(host).to_ascii_lowercase();
    without_port(host) == without_port(authority)
}
