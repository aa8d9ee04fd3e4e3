//! All routes of the API.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};

use crate::{app::App, chat, error::GatewayError, health, image, media, middleware, models, openapi, video};

/// One method of one path. `HEAD` works wherever `GET` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path; `{name}` stands for one segment, `{*name}` for one or more.
    pub path: &'static str,
}

const fn route(method: &'static str, path: &'static str) -> Route {
    Route { method, path }
}

/// Every route. A test compares them with the OpenAPI document, in both directions.
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

/// Endpoints of OpenAI's that would otherwise match `/v1/videos/{id}`.
const UNSUPPORTED: [&str; 3] = ["/v1/videos/characters", "/v1/videos/edits", "/v1/videos/extensions"];

/// Builds the router.
pub(crate) fn router(app: App) -> Router {
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
        .route("/v1/videos/{id}/events", get(video::events))
        .route("/media/{key}", get(media::get))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::get));
    for path in UNSUPPORTED {
        router = router.route(path, any(not_found));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(async |request: Request| GatewayError::method_not_allowed(request.method()))
        // `body` bounds request bodies.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), middleware::observe))
        .with_state(app)
}

async fn not_found(request: Request) -> Response {
    let path = request.uri().path();
    let below_v1 = path == "/v1" || path.starts_with("/v1/");
    let error = if below_v1 { GatewayError::unsupported_endpoint(path) } else { GatewayError::not_found(path) };
    error.into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Method, Request};

    use crate::testing::{CoreStub, get, send};

    #[tokio::test]
    async fn unknown_path_below_v1_is_answered_404_with_the_supported_endpoints() {
        for path in ["/v1/embeddings", "/v1/audio/speech", "/v1/images/variations", "/v1", "/v1/videos/characters"] {
            for method in [Method::GET, Method::POST] {
                let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
                let response = send(&CoreStub::default(), request).await;
                assert_eq!(response.error(), (404, None, "unsupported_endpoint".to_owned()), "{path}");
                assert!(response.text().contains("images/generations"));
            }
        }
    }

    #[tokio::test]
    async fn unknown_path_outside_v1_is_answered_404() {
        for path in ["/", "/v2/models", "/v1models", "/media"] {
            let response = send(&CoreStub::default(), get(path)).await;
            assert_eq!(response.error(), (404, None, "not_found".to_owned()), "{path}");
        }
    }

    #[tokio::test]
    async fn wrong_method_is_answered_405_with_the_allowed_methods() {
        let request = Request::delete("/v1/models").body(Body::empty()).unwrap();
        let response = send(&CoreStub::default(), request).await;
        assert_eq!(response.error(), (405, None, "method_not_allowed".to_owned()));
        assert_eq!(response.header("allow"), Some("GET,HEAD"));
    }
}
