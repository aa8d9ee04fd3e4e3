//! The core as a server of its own: all services, by gRPC and by gRPC-Web, health, reflection, and a way to go down that loses no call.

mod call;
mod compression;
mod web;

use std::{future::Future, time::Duration};

use tokio::net::TcpListener;
use tonic::{
    body::Body,
    codec::CompressionEncoding,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, pb::health_server::HealthServer, server::HealthReporter};
use tonic_web::GrpcWebLayer;
use tower::util::MapRequestLayer;
use triptych_proto::v1::{
    chat_service_server::{self, ChatServiceServer},
    image_service_server::{self, ImageServiceServer},
    media_service_server::{self, MediaServiceServer},
    model_service_server::{self, ModelServiceServer},
    video_service_server::{self, VideoServiceServer},
};

use self::call::{CallLayer, Ends};
use crate::{Core, Services, config::Grpc};

/// What health is asked about; the empty name is the server as a whole.
const NAMES: [&str; 6] = [
    "",
    chat_service_server::SERVICE_NAME,
    image_service_server::SERVICE_NAME,
    video_service_server::SERVICE_NAME,
    model_service_server::SERVICE_NAME,
    media_service_server::SERVICE_NAME,
];

/// A silent connection is asked this often whether anybody is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The server could not be set up or run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors of the contract could not be read.
    #[error("server reflection could not be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves the core until `stop` resolves, then lets calls under way finish for as long as `grpc.drain`.
/// Those that are still not done end with UNAVAILABLE, reason SHUTTING_DOWN.
///
/// The core itself goes on; see [`Core::close`].
pub async fn serve(listener: TcpListener, core: &Core, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    let settings = core.grpc();
    let (mut reporter, ends) = (HealthReporter::new(), Ends::default());
    for name in NAMES {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    let routes = routes(core.services(), settings, &reporter)?;
    // The builder's own nodelay does not reach a listener that was bound elsewhere, and without it a call costs 44 ms.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE));
    // Boxed: with all its layers it would make every future around it large.
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .max_concurrent_streams(settings.max_concurrent_calls)
        .accept_http1(true)
        // Outside of what holds for every call, which thereby sees gRPC alone.
        .layer(tower::util::option_layer(web::cors(&settings.cors_allow_origins)))
        .layer(GrpcWebLayer::new())
        .layer(CallLayer::new(ends.clone(), core.keys().clone()))
        .layer(MapRequestLayer::new(compression::mirrored::<Body>))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, ends.draining.clone().cancelled_owned());
    let mut serving = Box::pin(serving);

    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = stop => {}
    }
    for name in NAMES {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
        // Ends the streams that watch it, after the news; they would hold up the drain for ever.
        reporter.clear_service_status(name).await;
    }
    let drained = core.drained();
    ends.draining.cancel();
    if let Ok(ended) = tokio::time::timeout_at(drained, &mut serving).await {
        return Ok(ended?);
    }
    tracing::warn!(drain = ?settings.drain, "calls under way were cut off");
    ends.cut.cancel();
    // A client that does not read its last frames could hold on to its connection; it is not waited for.
    tokio::time::timeout(Duration::from_secs(1), serving).await.unwrap_or(Ok(()))?;
    Ok(())
}

fn routes(services: &Services, settings: &Grpc, reporter: &HealthReporter) -> Result<Routes, ServeError> {
    /// The limits and encodings that all doors share, on generated types that share no trait.
    macro_rules! door {
        ($server:ident, $service:expr) => {
            $server::from_arc($service.clone())
                .max_decoding_message_size(settings.max_message_bytes)
                .max_encoding_message_size(settings.max_message_bytes)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
        };
    }
    let health = tonic_health::server::HealthService::from_health_reporter(reporter.clone());
    let mut routes = Routes::builder();
    routes
        .add_service(HealthServer::new(health))
        .add_service(door!(ChatServiceServer, services.chat))
        .add_service(door!(ImageServiceServer, services.image))
        .add_service(door!(VideoServiceServer, services.video))
        .add_service(door!(ModelServiceServer, services.model))
        .add_service(door!(MediaServiceServer, services.media));
    if settings.reflection {
        let describe = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(triptych_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // Lets grpcurl print error details in clear text.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        routes.add_service(describe().build_v1()?).add_service(describe().build_v1alpha()?);
    }
    Ok(routes.routes())
}

#[cfg(test)]
mod tests;
