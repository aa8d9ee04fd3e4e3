//! The reflection service, in both versions.

use super::{NAMES, TestServer};

/// Sends one reflection request and returns the response to it.
macro_rules! reflect {
    ($version:ident, $server:expr, $request:ident($text:expr)) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest,
        };
        let message_request = Some(MessageRequest::$request($text.to_owned()));
        let request = ServerReflectionRequest { host: String::new(), message_request };
        let mut client = ServerReflectionClient::new($server.channel().await);
        let responses = client.server_reflection_info(futures_util::stream::iter([request])).await;
        responses.unwrap().into_inner().message().await.unwrap().unwrap().message_response.unwrap()
    }};
}

/// Returns the names of all services.
macro_rules! service_names {
    ($version:ident, $server:expr) => {
        match reflect!($version, $server, ListServices("")) {
            tonic_reflection::pb::$version::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
                list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
}

#[tokio::test]
async fn reflection_lists_all_services_in_both_versions() {
    let server = TestServer::start(|_| {}).await;
    for names in [service_names!(v1, server), service_names!(v1alpha, server)] {
        for name in
            NAMES.map(|(name, _)| name).into_iter().filter(|name| !name.is_empty()).chain(["grpc.health.v1.Health"])
        {
            assert!(names.iter().any(|known| known == name), "{name} is missing in {names:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn reflection_resolves_the_error_details_of_google_rpc() {
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let server = TestServer::start(|_| {}).await;
    for name in ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "google.rpc.BadRequest", "google.rpc.QuotaFailure"] {
        let response = reflect!(v1, server, FileContainingSymbol(name));
        assert!(matches!(&response, MessageResponse::FileDescriptorResponse(_)), "{name}: {response:?}");
    }
    server.stop().await;
}
