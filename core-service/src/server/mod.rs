//! The gRPC server of the core: all services over gRPC and gRPC-Web, health, reflection, and graceful shutdown.

mod call_layer;
mod compression;
mod cors;

use std::{future::Future, time::Duration};

use tokio::net::TcpListener;
use tonic::{
    body::Body,
    codec::CompressionEncoding,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::pb::health_server::HealthServer;
use tonic_web::GrpcWebLayer;
use tower::util::MapRequestLayer;
use triptych_proto::v1::{
    chat_service_server::ChatServiceServer, image_service_server::ImageServiceServer,
    media_service_server::MediaServiceServer, model_service_server::ModelServiceServer,
    video_service_server::VideoServiceServer,
};

use self::{
    call_layer::{CallLayer, Shutdown},
    cors::LiveCorsLayer,
};
use crate::{
    assembly::{Core, Services},
    config::Grpc,
    health::HealthGrpc,
};

/// The interval of TCP and HTTP/2 keepalives on idle connections.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// The server could not start or failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors of the contract are invalid.
    #[error("gRPC reflection could not start: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves the core until `stop` resolves, then drains: calls in flight may finish within `grpc.drain`. After that they end
/// with UNAVAILABLE, reason SHUTTING_DOWN.
///
/// The core itself stays open; see [`Core::close`].
pub async fn serve(listener: TcpListener, core: &Core, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    let settings = core.grpc();
    let shutdown = Shutdown::default();
    let routes = routes(core.services(), settings, core.health_service())?;
    // The builder's nodelay option does not apply to a listener that was bound elsewhere. Without nodelay a call takes 44 ms.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE_INTERVAL));
    // Boxed because the type with all its layers would make every future around it large.
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .max_concurrent_streams(settings.max_concurrent_calls)
        .accept_http1(true)
        // CORS and gRPC-Web are the outer layers, so that the call layer receives plain gRPC only.
        .layer(LiveCorsLayer::new(core.cors_allow_origins().clone()))
        .layer(GrpcWebLayer::new())
        .layer(CallLayer::new(shutdown.clone(), core.keys().clone()))
        .layer(MapRequestLayer::new(compression::mirror_request_encoding::<Body>))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.draining.clone().cancelled_owned());
    let mut serving = Box::pin(serving);

    tokio::select! {
        result = &mut serving => return Ok(result?),
        () = stop => {}
    }
    core.health().set_not_ready().await;
    core.health().end_watches().await;
    let drain_deadline = core.drain_deadline();
    shutdown.draining.cancel();
    if let Ok(result) = tokio::time::timeout_at(drain_deadline, &mut serving).await {
        return Ok(result?);
    }
    tracing::warn!(drain = ?settings.drain, "cut off calls in flight after the drain");
    shutdown.cut_off.cancel();
    // A client that does not read its last frames could keep its connection open forever.
    tokio::time::timeout(Duration::from_secs(1), serving).await.unwrap_or(Ok(()))?;
    Ok(())
}

fn routes(services: &Services, settings: &Grpc, health: HealthGrpc) -> Result<Routes, ServeError> {
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
        .add_service(HealthServer::new(health))
        .add_service(service!(ChatServiceServer, services.chat))
        .add_service(service!(ImageServiceServer, services.image))
        .add_service(service!(VideoServiceServer, services.video))
        .add_service(service!(ModelServiceServer, services.model))
        .add_service(service!(MediaServiceServer, services.media));
    if settings.reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(triptych_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // With these, grpcurl prints error details as text.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?);
    }
    Ok(routes.routes())
}

#[cfg(test)]
mod tests;
