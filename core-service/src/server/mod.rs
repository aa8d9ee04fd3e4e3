//! The gRPC server of the core: all services over gRPC and gRPC-Web, health, reflection, and graceful shutdown.

mod application;
mod call_layer;
mod chat;
mod compression;
mod cors;
mod decompression;
mod message_memory;
mod messages;
mod origin;
mod request_body;

use std::future::Future;

use http_server::{ConnectionThreads, Drain, Listener, MemoryBudget, ServerSettings};
use tonic::{body::Body, codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::HealthServer;
use tonic_web::GrpcWebLayer;
use tower::{ServiceBuilder, util::MapRequestLayer};
use triptych_proto::v1::{
    admin_service_server::AdminServiceServer, chat_service_server::ChatServiceServer,
    image_service_server::ImageServiceServer, media_service_server::MediaServiceServer,
    model_service_server::ModelServiceServer, response_service_server::ResponseServiceServer,
    usage_service_server::UsageServiceServer, video_service_server::VideoServiceServer,
    webhook_service_server::WebhookServiceServer,
};

use self::{
    application::GrpcApplication, call_layer::CallLayer, chat::ChatRoutes, cors::LiveCorsLayer,
    decompression::DecompressionLayer, origin::OriginLayer,
};
use crate::{
    assembly::{Core, Services},
    chat::grpc::ChatGrpc,
    config::Grpc,
    health::HealthGrpc,
};

/// The largest message to a service that requires no API key, in bytes.
const MAX_PUBLIC_MESSAGE_BYTES: usize = 64 << 10;

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors of the gRPC API are invalid.
    #[error("gRPC reflection could not start: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves the core on `threads` until `stop` resolves, then drains: calls in flight may finish within `grpc.drain`. After that
/// they end with UNAVAILABLE, reason SHUTTING_DOWN.
///
/// The core itself stays open; see [`Core::close`].
pub async fn serve(
    listener: impl Listener + 'static,
    core: &Core,
    threads: &ConnectionThreads,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let settings = core.grpc();
    let drain = Drain { announced: core.announced().clone(), ..Drain::default() };
    let budget = MemoryBudget::new(settings.body_memory_bytes);
    let service = ServiceBuilder::new()
        // CORS and gRPC-Web are the outer layers, so that the call layer receives plain gRPC only.
        .layer(LiveCorsLayer::new(core.cors_allow_origins().clone()))
        .layer(OriginLayer::new(core.cors_allow_origins().clone()))
        .layer(GrpcWebLayer::new())
        .layer(CallLayer::new(drain.clone(), core.keys().clone()))
        .layer(DecompressionLayer::new(budget.clone(), settings.max_message_bytes))
        .layer(MapRequestLayer::new(compression::mirror_request_encoding::<Body>))
        .service(routes(core.services(), settings, core.health_service())?);
    let stop = async {
        stop.await;
        core.health().set_not_ready().await;
        core.health().end_watches().await;
        core.drain_deadline()
    };
    let application = GrpcApplication::new(service, settings.body_timeout, budget);
    // Boxed because the type with all its layers would make every future around it large.
    Box::pin(http_server::serve(listener, application, threads, server_settings(settings), drain, stop)).await;
    Ok(())
}

fn server_settings(settings: &Grpc) -> ServerSettings {
    ServerSettings {
        api: "grpc",
        header_timeout: settings.header_timeout,
        idle_timeout: settings.idle_timeout,
        write_timeout: settings.write_timeout,
        max_connections: settings.max_connections,
        max_connections_per_peer: settings.max_connections_per_peer,
        max_requests: settings.max_requests,
        max_streams: settings.max_concurrent_calls,
        max_connection_age: (!settings.max_connection_age.is_zero()).then_some(settings.max_connection_age),
        max_connection_age_grace: settings.max_connection_age_grace,
        ..ServerSettings::default()
    }
}

/// Returns all services, each at its path.
fn routes(services: &Services, settings: &Grpc, health: HealthGrpc) -> Result<ChatRoutes<ChatGrpc>, ServeError> {
    /// Applies the common limits and encodings. A macro because the generated types share no trait.
    macro_rules! service {
        ($server:ident, $service:expr) => {
            $server::from_arc($service.clone())
                .max_decoding_message_size(settings.max_message_bytes)
                .max_encoding_message_size(settings.max_message_bytes)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
        };
    }
    let mut routes = Routes::builder();
    routes
        .add_service(HealthServer::new(health).max_decoding_message_size(MAX_PUBLIC_MESSAGE_BYTES))
        .add_service(service!(ResponseServiceServer, services.response))
        .add_service(service!(ImageServiceServer, services.image))
        .add_service(service!(VideoServiceServer, services.video))
        .add_service(service!(WebhookServiceServer, services.webhook))
        .add_service(service!(UsageServiceServer, services.usage))
        .add_service(service!(AdminServiceServer, services.admin))
        .add_service(service!(ModelServiceServer, services.model))
        .add_service(service!(MediaServiceServer, services.media).max_decoding_message_size(MAX_PUBLIC_MESSAGE_BYTES));
    if settings.reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(triptych_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // With these, grpcurl prints error details as text.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        routes
            .add_service(builder().build_v1()?.max_decoding_message_size(MAX_PUBLIC_MESSAGE_BYTES))
            .add_service(builder().build_v1alpha()?.max_decoding_message_size(MAX_PUBLIC_MESSAGE_BYTES));
    }
    let chat = service!(ChatServiceServer, services.chat);
    Ok(ChatRoutes::new(services.chat.clone(), chat, settings.max_message_bytes, routes.routes().prepare()))
}

#[cfg(test)]
mod tests;
