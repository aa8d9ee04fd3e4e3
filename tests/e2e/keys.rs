//! Callers' keys: one question behind both doors.

use core_service::{chat::on_disconnect::OnDisconnect, config};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use triptych_proto::v1 as pb;

use crate::{
    disconnect::long_stream,
    harness::{Events, World, error_of, hello, over_both_hops_with, soon},
    oddities::Log,
    routing::grpc_hello,
    upstream::Reply,
};

const SECRET: &str = "the-secret-of-team-a";
const OTHER: &str = "the-secret-of-team-b";

async fn with_keys(test: impl AsyncFn(&World)) {
    over_both_hops_with(
        |settings, gateway| {
            // On the test's own thread, whose log it can read.
            gateway.server.threads = rest_gateway::ConnectionThreads::Shared;
            let key = |name: &str, secret: &str| config::Key {
                name: name.to_owned(),
                secret: Some(secret.into()),
                ..config::Key::default()
            };
            settings.keys = vec![
                config::Key { on_disconnect: Some(OnDisconnect::Continue), ..key("team-a", SECRET) },
                key("team-b", OTHER),
            ];
        },
        test,
    )
    .await;
}

fn showing<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    request
}

async fn sent(request: RequestBuilder) -> reqwest::Response {
    soon("an answer", request.send()).await.unwrap()
}

/// How a call with an empty message and no key ends, if it ends at once.
async fn empty_call(client: &reqwest::Client, world: &World, path: &str) -> Option<Status> {
    let request = client.post(format!("http://{}{path}", world.grpc)).header("content-type", "application/grpc");
    let answer = request.header("te", "trailers").body([0; 5].as_slice()).send().await.unwrap();
    Status::from_header_map(answer.headers())
}

#[tokio::test]
async fn every_endpoint_asks_for_a_key_but_those_of_operation_and_media() {
    with_keys(async |world| {
        let asking = rest_gateway::ROUTES.iter().filter(|route| route.path.starts_with("/v1/"));
        for route in asking {
            let path = route.path.replace("{*id}", "m").replace("{id}", "v").replace("{engine}", "m");
            let ask = || {
                let request = world.request(route.method.parse().unwrap(), &path);
                if path == "/v1/images/edits" {
                    let request = request.header("content-type", "multipart/form-data; boundary=X");
                    let part = |name| {
                        format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\nhttp://a.test\r\n")
                    };
                    return request.body(format!("{}{}--X--\r\n", part("prompt"), part("image")));
                }
                let body = match (route.method, path.ends_with("chat/completions")) {
                    ("POST", true) => hello(&json!({})),
                    ("POST", false) => json!({"prompt": "a"}).to_string(),
                    _ => String::new(),
                };
                request.header("content-type", "application/json").body(body)
            };
            for (request, what) in [(ask(), "no key"), (ask().bearer_auth("wrong"), "a wrong key")] {
                let answer = sent(request).await;
                let challenge = answer.headers().get("www-authenticate").cloned();
                let (status, error) = error_of(answer).await;
                let told = json!([error["type"], error["code"], error["param"]]);
                assert_eq!(status, 401, "{path} with {what}: {error}");
                assert_eq!(challenge.unwrap(), "Bearer");
                assert_eq!(told, json!(["invalid_request_error", "invalid_api_key", null]));
                assert!(!error.to_string().contains("wrong"), "{error}");
            }
        }
        for open in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
            assert_eq!(sent(world.request(Method::GET, open)).await.status(), 200, "{open}");
        }
        assert_eq!(sent(world.request(Method::GET, "/media/none.png")).await.status(), 404);
    })
    .await;
}

#[tokio::test]
async fn every_call_of_the_contract_asks_for_a_key_but_those_for_media() {
    with_keys(async |world| {
        let contract = <prost_types::FileDescriptorSet as prost::Message>::decode(triptych_proto::DESCRIPTORS).unwrap();
        let services =
            contract.file.iter().flat_map(|file| file.service.iter().map(|service| (file.package(), service)));
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
        let mut seen = 0;
        for (package, service) in services.filter(|(package, _)| *package == "triptych.v1") {
            for method in &service.method {
                let path = format!("/{package}.{}/{}", service.name(), method.name());
                let answer = soon("an answer", empty_call(&client, world, &path)).await;
                let asked = answer.as_ref().is_some_and(|status| status.code() == Code::Unauthenticated);
                assert_eq!(asked, service.name() != "MediaService", "{path}: {answer:?}");
                seen += 1;
            }
        }
        assert!(seen > 15, "{seen} calls");
    })
    .await;
}

#[tokio::test]
async fn a_known_key_opens_both_doors_and_stays_here() {
    with_keys(async |world| {
        world.upstream.will(Reply::saying(&["x"]));
        let request = world.request(Method::POST, "/v1/chat/completions").bearer_auth(SECRET);
        let answer = sent(request.body(hello(&json!({"stream": true})))).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.unwrap().ends_with("data: [DONE]\n\n"));
        let seen = world.upstream.saw().await;
        assert!(seen.head.contains("authorization: bearer upstream-secret"), "{}", seen.head);
        assert!(!seen.head.contains(SECRET) && !seen.text().contains(SECRET), "{seen:?}");

        let mut models = world.model_client().await;
        assert!(models.list_models(showing(SECRET, pb::ListModelsRequest::default())).await.is_ok());
        let refused = models.list_models(showing("wrong", pb::ListModelsRequest::default())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(refused.get_details_error_info().unwrap().reason, "INVALID_API_KEY");
        let listed = sent(world.request(Method::GET, "/v1/models").bearer_auth(OTHER)).await;
        assert_eq!(listed.status(), 200);
    })
    .await;
}

#[tokio::test]
async fn a_keys_own_rule_for_hanging_up_holds_unless_the_call_has_one() {
    with_keys(async |world| {
        for (secret, rule, read_on) in [(SECRET, None, true), (SECRET, Some("cancel"), false), (OTHER, None, false)] {
            world.upstream.will(long_stream());
            let mut request = world.request(Method::POST, "/v1/chat/completions").bearer_auth(secret);
            if let Some(rule) = rule {
                request = request.header("x-triptych-on-disconnect", rule);
            }
            let mut events = Events::of(sent(request.body(hello(&json!({"stream": true})))).await);
            assert!(events.next().await.is_some());
            world.upstream.saw().await;
            drop(events);
            if read_on {
                world.upstream.was_read().await;
            } else {
                world.upstream.was_left().await;
            }
        }
        world.upstream.will(long_stream());
        let mut client = world.chat_client().await;
        let stream = pb::StreamChatRequest { chat: grpc_hello().chat, ..pb::StreamChatRequest::default() };
        let mut pieces = client.stream_chat(showing(SECRET, stream)).await.unwrap().into_inner();
        assert!(soon("a piece", pieces.message()).await.unwrap().is_some());
        world.upstream.saw().await;
        drop(pieces);
        world.upstream.was_read().await;
    })
    .await;
}

#[tokio::test]
async fn the_log_names_the_caller_whose_call_failed_and_no_secret() {
    with_keys(async |world| {
        let lines = Log::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let request = world.request(Method::GET, "/v1/models/none").bearer_auth(SECRET);
        assert_eq!(sent(request).await.status(), 404);
        let ask = showing(OTHER, pb::GetModelRequest { id: "none".to_owned() });
        assert_eq!(world.model_client().await.get_model(ask).await.unwrap_err().code(), Code::NotFound);
        drop(guard);
        let text = lines.take();
        for name in [r#"caller="team-a""#, r#"caller="team-b""#] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
        assert!(!text.contains("the-secret"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn one_callers_idempotency_key_is_not_anothers() {
    with_keys(async |world| {
        let create = async |secret, prompt: &str| {
            let request = world.request(Method::POST, "/v1/videos").bearer_auth(secret).header("idempotency-key", "k");
            let body = json!({"prompt": prompt, "seconds": 1, "size": "64x64", "model": "offline-video"});
            let answer = sent(request.header("content-type", "application/json").body(body.to_string())).await;
            let status = answer.status().as_u16();
            let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            (status, body["id"].clone())
        };
        let (status, first) = create(SECRET, "a boat").await;
        assert_eq!(status, 200);
        assert_eq!(create(SECRET, "a boat").await, (200, first.clone()));
        assert_eq!(create(SECRET, "a tree").await.0, 409);
        let (status, second) = create(OTHER, "a tree").await;
        assert!(status == 200 && second != first, "{second}");
        let look = world.request(Method::GET, &format!("/v1/videos/{}", first.as_str().unwrap()));
        assert_eq!(sent(look.bearer_auth(OTHER)).await.status(), 200, "clips are everybody's");
    })
    .await;
}
