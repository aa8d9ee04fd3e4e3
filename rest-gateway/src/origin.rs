//! Requests of web pages. A page that a user opens can send requests to any address that the user's browser reaches, among
//! them a gateway on the same machine, without a preflight and without reading the response.

use axum::extract::Request;
use http::{Method, header};

use crate::{error::GatewayError, headers::SEC_FETCH_SITE, links::Links, settings::RuntimeSettings};

/// Checks that a request which may change state is not from a page of another origin, unless that origin is listed in
/// `cors_allow_origins`. Clients other than browsers send no `Origin`.
///
/// # Errors
/// 403.
pub(crate) fn check(request: &Request, settings: &RuntimeSettings) -> Result<(), GatewayError> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let site = request.headers().get(SEC_FETCH_SITE).map(http::HeaderValue::as_bytes);
    // Scripts cannot set this header. A proxy may have changed `Host`, so that `Origin` alone does not show it.
    if site == Some(b"same-origin".as_slice()) {
        return Ok(());
    }
    let mut origins = request.headers().get_all(header::ORIGIN).iter().peekable();
    let allowed = &settings.cors_allow_origins;
    if origins.peek().is_none() {
        // `same-site` is another origin as well, for example another port of this machine.
        let is_foreign =
            matches!(site, Some(b"cross-site" | b"same-site")) && !allowed.iter().any(|origin| origin == "*");
        return if is_foreign { Err(GatewayError::origin_not_allowed("another origin")) } else { Ok(()) };
    }
    let links = Links::of(request.uri(), request.headers(), settings);
    for origin in origins {
        let origin = origin.to_str().unwrap_or("null");
        let is_listed = allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
        if !is_listed && !is_own(origin, links.authority()) {
            return Err(GatewayError::origin_not_allowed(&format!("origin \"{origin:.100}\"")));
        }
    }
    Ok(())
}

/// Returns whether an origin is this gateway. Schemes are not compared: a proxy in front may have terminated TLS.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        RuntimeSettings, Settings,
        routes::ROUTES,
        testing::{CoreStub, TestResponse, raw, request_for, router, send, send_to},
    };

    async fn post(settings: RuntimeSettings, content_type: &str, headers: &[(&str, &str)]) -> TestResponse {
        let core = CoreStub::default();
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).to_string();
        let mut request = raw("/v1/chat/completions", content_type, body);
        for (name, value) in headers {
            request.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        send_to(router(&core, Settings { runtime: settings, ..Settings::default() }), request).await
    }

    #[tokio::test]
    async fn state_changing_request_of_a_foreign_page_is_answered_403() {
        for headers in [
            &[("origin", "https://evil.test")][..],
            &[("origin", "null")],
            &[("origin", "http://gateway.test:3000")],
            &[("origin", "http://gateway.test.evil.test")],
            &[("origin", "http://gateway.test"), ("origin", "https://evil.test")],
            &[("origin", "file://gateway.test")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
                let response = post(RuntimeSettings::default(), content_type, headers).await;
                assert_eq!(response.error(), (403, None, "origin_not_allowed".to_owned()), "{headers:?}");
            }
        }
    }

    #[tokio::test]
    async fn own_and_listed_origins_and_clients_without_origin_are_served() {
        let listed = |origin: &str| RuntimeSettings {
            cors_allow_origins: vec![origin.to_owned()],
            ..RuntimeSettings::default()
        };
        let public =
            |url: &str| RuntimeSettings { public_base_url: Some(url.to_owned()), ..RuntimeSettings::default() };
        for (settings, headers) in [
            (RuntimeSettings::default(), &[][..]),
            (RuntimeSettings::default(), &[("sec-fetch-site", "same-origin")]),
            (RuntimeSettings::default(), &[("sec-fetch-site", "none")]),
            (RuntimeSettings::default(), &[("origin", "https://proxy.test"), ("sec-fetch-site", "same-origin")]),
            (RuntimeSettings::default(), &[("origin", "http://gateway.test")]),
            (RuntimeSettings::default(), &[("origin", "https://GATEWAY.test:443")]),
            (listed("https://a.test"), &[("origin", "https://a.test"), ("sec-fetch-site", "cross-site")]),
            (listed("*"), &[("origin", "null")]),
            (listed("*"), &[("sec-fetch-site", "cross-site")]),
            (public("https://p.test/ai"), &[("origin", "https://p.test")]),
        ] {
            assert_eq!(post(settings, "application/json", headers).await.status, 200, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn every_state_changing_route_refuses_foreign_origins() {
        for route in ROUTES {
            let mut request = request_for(route.method, route.path);
            request.headers_mut().insert("origin", "https://evil.test".parse().unwrap());
            let response = send(&CoreStub::default(), request).await;
            assert_eq!(response.status == 403, route.method != "GET", "{route:?}");
        }
    }
}
