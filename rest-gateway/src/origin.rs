//! Requests of web pages: those of other origins may not change state. Without this check, a page that a user opens
//! could send requests to a gateway on the user's machine.

use axum::extract::Request;
use http::Method;
use http_server::foreign_origin;

use crate::{error::GatewayError, links::Links, settings::RuntimeSettings};

/// Checks that a request which may change state is not from a page of another origin, unless that origin is listed in
/// `cors_allow_origins`.
///
/// # Errors
/// 403 `origin_not_allowed`.
pub(crate) fn check(request: &Request, settings: &RuntimeSettings) -> Result<(), GatewayError> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let own_authority =
        || Links::new(request.uri(), request.headers(), request.extensions(), settings).authority().to_owned();
    match foreign_origin(request.headers(), &settings.cors_allow_origins, own_authority) {
        None => Ok(()),
        Some(origin) => Err(GatewayError::origin_not_allowed(&origin)),
    }
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
    async fn state_changing_request_of_a_foreign_page_returns_403() {
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
