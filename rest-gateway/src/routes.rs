//! All routes of the API, in one table, and the router made from it and from the routes of the pages.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{MethodFilter, any, on},
};
use tower::{Layer, util::MapRequestLayer};

use crate::{
    admin, app::App, chat, error::GatewayError, health, image, media, middleware, models, openapi, pages, path,
    response, usage, video, webhooks,
};

/// One method of one path. `HEAD` works wherever `GET` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path; `{name}` stands for one segment, `{*name}` for one or more.
    pub path: &'static str,
}

/// Declares every route once: [`ROUTES`] and the router are made from the same lines.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:expr,)*) => {
        /// Every route. A test compares them with the OpenAPI document, in both directions.
        pub const ROUTES: &[Route] = &[$(Route { method: stringify!($method), path: $path },)*];

        fn handlers(port: Port) -> Router<App> {
            let mut router = Router::new();
            $(
                if port.serves($path) {
                    router = router.route($path, on(MethodFilter::$method, $handler));
                }
            )*
            router
        }
    };
}

routes! {
    POST "/v1/chat/completions" => chat::completions,
    POST "/v1/engines/{engine}/chat/completions" => chat::engine_completions,
    POST "/v1/responses" => response::create,
    GET "/v1/responses/{id}" => response::get,
    DELETE "/v1/responses/{id}" => response::delete,
    POST "/v1/responses/{id}/cancel" => response::cancel,
    GET "/v1/responses/{id}/input_items" => response::input_items,
    GET "/v1/models" => models::list,
    GET "/v1/models/{*id}" => models::get,
    POST "/v1/images/generations" => image::generate,
    POST "/v1/images/edits" => image::edit,
    POST "/v1/videos" => video::create,
    GET "/v1/videos" => video::list,
    GET "/v1/videos/models" => models::video::list,
    POST "/v1/videos/edits" => video::edit,
    POST "/v1/videos/extensions" => video::extend,
    GET "/v1/videos/{id}" => video::get,
    DELETE "/v1/videos/{id}" => video::delete,
    POST "/v1/videos/{id}/cancel" => video::cancel,
    POST "/v1/videos/{id}/remix" => video::remix,
    GET "/v1/videos/{id}/content" => video::content,
    GET "/v1/videos/{id}/events" => video::events,
    GET "/v1/videos/{id}/history" => video::history::get,
    GET "/v1/videos/{id}/deliveries" => webhooks::deliveries_of_video,
    // The paths of OpenRouter's API.
    POST "/api/v1/videos" => video::openrouter::create,
    GET "/api/v1/videos/models" => models::video::list,
    GET "/api/v1/videos/{id}" => video::openrouter::get,
    GET "/api/v1/videos/{id}/content" => video::content,
    GET "/v1/webhook_event_types" => webhooks::event_types,
    POST "/v1/webhook_endpoints" => webhooks::create,
    GET "/v1/webhook_endpoints" => webhooks::list,
    GET "/v1/webhook_endpoints/{id}" => webhooks::get,
    POST "/v1/webhook_endpoints/{id}" => webhooks::update,
    DELETE "/v1/webhook_endpoints/{id}" => webhooks::delete,
    POST "/v1/webhook_endpoints/{id}/rotate_secret" => webhooks::rotate_secret,
    POST "/v1/webhook_endpoints/{id}/test" => webhooks::test,
    GET "/v1/webhook_endpoints/{id}/deliveries" => webhooks::deliveries,
    POST "/v1/webhook_endpoints/{id}/deliveries/{delivery_id}/redeliver" => webhooks::redeliver,
    GET "/v1/usage" => usage::list,
    GET "/v1/budgets" => usage::budgets,
    POST "/v1/estimate/videos" => video::estimate::estimate,
    POST "/v1/estimate/images" => image::estimate::estimate,
    GET "/admin/v1/keys" => admin::list_keys,
    POST "/admin/v1/keys" => admin::create_key,
    GET "/admin/v1/keys/{name}" => admin::get_key,
    POST "/admin/v1/keys/{name}" => admin::update_key,
    POST "/admin/v1/keys/{name}/rotate" => admin::rotate_key,
    POST "/admin/v1/keys/{name}/revoke" => admin::revoke_key,
    GET "/admin/v1/ledger/verify" => admin::verify_ledger,
    GET "/admin/v1/ledger/holds" => admin::list_holds,
    POST "/admin/v1/ledger/holds/{id}/resolve" => admin::resolve_hold,
    GET "/media/{key}" => media::get,
    GET "/media/inputs/{token}" => media::get_input,
    GET "/healthz" => health::live,
    GET "/readyz" => health::ready,
    GET "/metrics" => health::metrics,
    GET "/openapi.json" => openapi::get,
}

/// An endpoint of OpenAI's that would otherwise match `/v1/videos/{id}`.
const UNSUPPORTED: &str = "/v1/videos/characters";

/// The port that a router serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// The only port, with all routes.
    Single,
    /// The port of clients, beside an admin port.
    Public,
    /// The admin port.
    Admin,
}

impl Port {
    fn serves(self, path: &str) -> bool {
        let is_operators = path == "/metrics" || path.starts_with("/admin/");
        let is_probe = matches!(path, "/healthz" | "/readyz");
        match self {
            Self::Single => true,
            Self::Public => !is_operators,
            Self::Admin => is_operators || is_probe,
        }
    }
}

/// Builds the router of a port for any HTTP server.
pub(crate) fn router(app: App, port: Port) -> Router {
    // Around the router, because a path is changed before it is matched.
    Router::new().fallback_service(MapRequestLayer::new(path::fold_slashes).layer(router_for_folded_paths(app, port)))
}

/// Builds the router for requests whose slashes the caller has folded, which saves the router around it.
pub(crate) fn router_for_folded_paths(app: App, port: Port) -> Router {
    let pages = if port == Port::Admin { Router::new() } else { pages::routes() };
    handlers(port)
        .merge(pages)
        .route(UNSUPPORTED, any(not_found))
        // Of OpenAI's Responses API: the error names what is supported instead.
        .route("/v1/responses/input_tokens", any(response::unsupported))
        .route("/v1/responses/compact", any(response::unsupported))
        .route("/v1/conversations", any(response::unsupported))
        .route("/v1/conversations/{*rest}", any(response::unsupported))
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
    async fn unknown_path_below_v1_returns_404_with_the_supported_endpoints() {
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
    async fn unknown_path_outside_v1_returns_404() {
        for path in ["/v2/models", "/v1models", "/media"] {
            let response = send(&CoreStub::default(), get(path)).await;
            assert_eq!(response.error(), (404, None, "not_found".to_owned()), "{path}");
        }
    }

    #[tokio::test]
    async fn wrong_method_returns_405_with_the_allowed_methods() {
        let request = Request::delete("/v1/models").body(Body::empty()).unwrap();
        let response = send(&CoreStub::default(), request).await;
        assert_eq!(response.error(), (405, None, "method_not_allowed".to_owned()));
        assert_eq!(response.header("allow"), Some("GET,HEAD"));
    }

    #[tokio::test]
    async fn doubled_slashes_and_one_at_the_end_are_folded() {
        for path in ["//v1/models", "/v1//models", "/v1/models/", "//v1///models//", "/v1/models/?modality=chat"] {
            let response = send(&CoreStub::default(), get(path)).await;
            assert_eq!((response.status.as_u16(), &response.json()["object"]), (200, &"list".into()), "{path}");
        }
        for (path, id) in
            [("/v1/models/org/m", "org/m"), ("//v1/models//org/m/", "org/m"), ("/v1/models/org//m", "org//m")]
        {
            let response = send(&CoreStub::default(), get(path)).await;
            assert_eq!((response.status.as_u16(), &response.json()["id"]), (200, &id.into()), "{path}");
        }
        assert_eq!(send(&CoreStub::default(), get("//media//clip.mp4/")).await.status, 200);
        assert_eq!(send(&CoreStub::default(), get("//openapi.json//")).await.status, 200);
    }
}
