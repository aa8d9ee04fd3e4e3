//! The whole URL surface on one screen.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http::{HeaderName, HeaderValue};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use crate::{
    app::App, chat, core::Core, error::GatewayError, health, image, media, models, request_id, settings::Settings,
    video,
};

/// One method of one address. `HEAD` works wherever `GET` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The address; `{name}` stands for one segment, `{*name}` for one or more.
    pub path: &'static str,
}

const fn route(method: &'static str, path: &'static str) -> Route {
    Route { method, path }
}

/// All that is served. The OpenAPI document is held against it, both ways.
pub const ROUTES: &[Route] = &[
    route("POST", "/v1/chat/completions"),
    route("POST", "/v1/engines/{engine}/chat/completions"),
    route("GET", "/v1/models"),
    route("GET", "/v1/models/{*id}"),
    route("POST", "/v1/images/generations"),
    route("POST", "/v1/images/edits"),
    route("POST", "/v1/videos"),
    route("GET", "/v1/videos"),
    route("GET", "/v1/videos/{id}"),
    route("DELETE", "/v1/videos/{id}"),
    route("POST", "/v1/videos/{id}/cancel"),
    route("POST", "/v1/videos/{id}/remix"),
    route("GET", "/v1/videos/{id}/content"),
    route("GET", "/v1/videos/{id}/events"),
    route("GET", "/media/{key}"),
    route("GET", "/healthz"),
    route("GET", "/readyz"),
    route("GET", "/metrics"),
    route("GET", "/openapi.json"),
];

/// Parts of OpenAI's surface that would otherwise be taken for the id of a video.
const UNSUPPORTED: [&str; 3] = ["/v1/videos/characters", "/v1/videos/edits", "/v1/videos/extensions"];

/// The REST surface over this core.
pub fn router(core: Core, settings: Settings) -> Router {
    let browsers = cors(&settings);
    let app = App::new(core, settings);
    let mut router = Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/engines/{engine}/chat/completions", post(chat::engine_completions))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::get))
        .route("/v1/images/generations", post(image::generate))
        .route("/v1/images/edits", post(image::edit))
        .route("/v1/videos", post(video::create).get(video::list))
        .route("/v1/videos/{id}", get(video::get).delete(video::delete))
        .route("/v1/videos/{id}/cancel", post(video::cancel))
        .route("/v1/videos/{id}/remix", post(video::remix))
        .route("/v1/videos/{id}/content", get(video::content))
        .route("/v1/videos/{id}/events", get(video::follow))
        .route("/media/{key}", get(media::get))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(health::openapi));
    for path in UNSUPPORTED {
        router = router.route(path, any(missing));
    }
    let mut router = router
        .fallback(missing)
        .method_not_allowed_fallback(async |request: Request| GatewayError::method_not_allowed(request.method()))
        // Bodies have one bound, and it is ours.
        .layer(DefaultBodyLimit::disable());
    if let Some(cors) = browsers {
        router = router.layer(cors);
    }
    router.layer(middleware::from_fn_with_state(app.clone(), request_id::door)).with_state(app)
}

async fn missing(request: Request) -> Response {
    let path = request.uri().path();
    let ours = path == "/v1" || path.starts_with("/v1/");
    let error = if ours { GatewayError::unsupported_endpoint(path) } else { GatewayError::not_found(path) };
    error.into_response()
}

fn cors(settings: &Settings) -> Option<CorsLayer> {
    let origins = &settings.cors_allow_origins;
    let allow = match origins.as_slice() {
        [] => return None,
        origins if origins.iter().any(|origin| origin == "*") => AllowOrigin::from(Any),
        origins => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let told = [
        "x-request-id",
        "retry-after",
        "retry-after-ms",
        "openai-poll-after-ms",
        "content-range",
        "etag",
        "x-triptych-attempts",
    ];
    let told = told.map(HeaderName::from_static);
    // Named one by one: what stands for all leaves out `authorization`.
    let asked = AllowHeaders::mirror_request();
    Some(CorsLayer::new().allow_origin(allow).allow_methods(Any).allow_headers(asked).expose_headers(told))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Method, Request};

    use super::*;
    use crate::testing::{Script, get, send, send_to};

    #[tokio::test]
    async fn what_is_not_served_below_v1_says_so() {
        for path in ["/v1/embeddings", "/v1/audio/speech", "/v1/images/variations", "/v1", "/v1/videos/characters"] {
            for method in [Method::GET, Method::POST] {
                let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
                let answer = send(&Script::default(), request).await;
                assert_eq!(answer.error(), (404, None, "unsupported_endpoint".to_owned()), "{path}");
                assert!(answer.text().contains("images/generations"));
            }
        }
    }

    #[tokio::test]
    async fn elsewhere_there_is_nothing() {
        for path in ["/", "/v2/models", "/v1models", "/media"] {
            assert_eq!(
                send(&Script::default(), get(path)).await.error(),
                (404, None, "not_found".to_owned()),
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let request = Request::delete("/v1/models").body(Body::empty()).unwrap();
        let answer = send(&Script::default(), request).await;
        assert_eq!(answer.error(), (405, None, "method_not_allowed".to_owned()));
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    }

    #[tokio::test]
    async fn browsers_are_answered_where_the_operator_allows_their_origin() {
        let preflight = || {
            let request = Request::builder().method("OPTIONS").uri("/v1/models").header("origin", "https://a.test");
            let request = request.header("access-control-request-headers", "authorization,x-own");
            request.header("access-control-request-method", "GET").body(Body::empty()).unwrap()
        };
        let settings = Settings { cors_allow_origins: vec!["https://a.test".to_owned()], ..Settings::default() };
        let answer = send_to(router(Script::default().core(), settings), preflight()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.test"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,x-own"));
        assert_eq!(send(&Script::default(), preflight()).await.status, 405);
    }
}
