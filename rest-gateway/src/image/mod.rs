//! `/v1/images`: pictures from words, and pictures from pictures.

mod stream;
mod wire;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use tonic::Status;
use triptych_proto::v1 as pb;

use crate::{app::App, context::Context, download, error::GatewayError, form::FormBody, links::Links, offload, sse};

/// Which of the two endpoints was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Generations,
    Edits,
}

pub(crate) async fn generate(
    State(app): State<App>,
    context: Context,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    answer(app, context, links, body, Endpoint::Generations).await
}

pub(crate) async fn edit(
    State(app): State<App>,
    context: Context,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    answer(app, context, links, body, Endpoint::Edits).await
}

async fn answer(
    app: App,
    context: Context,
    links: Links,
    body: FormBody,
    endpoint: Endpoint,
) -> Result<Response, GatewayError> {
    let (asked, links) =
        offload::run(body.len(), move || Ok::<_, GatewayError>((wire::read(&body, endpoint, &links)?, links)))
            .await??;
    let wire::Asked { mut image, stream, partial_images } = asked;
    let idempotency_key = context.idempotency_key().to_owned();
    let echo = wire::Echo::of(&image);
    if stream {
        // Streamed pictures always travel in the events.
        image.delivery = pb::ImageDelivery::Bytes.into();
        let request = pb::StreamImagesRequest { image: Some(image), idempotency_key, partial_images };
        let events = app.core.image.stream_images(context.call(request)).await.map_err(failed)?.into_inner();
        let events = sse::opened(events, app.settings.heartbeat).await.map_err(failed)?;
        return Ok(stream::answer(events, echo, endpoint, links, app.settings.heartbeat));
    }
    let by_value = image.delivery() == pb::ImageDelivery::Bytes;
    let request = pb::GenerateImagesRequest { image: Some(image), idempotency_key };
    let mut made = app.core.image.generate_images(context.call(request)).await.map_err(failed)?.into_inner();
    if by_value {
        for picture in made.pictures.iter_mut().filter(|picture| picture.data.is_empty()) {
            fetch(&app, &context, picture).await;
        }
    }
    let bytes = made.pictures.iter().map(|picture| picture.data.len()).sum();
    let json = offload::run(bytes, move || wire::write(&made, &echo, &links)).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(json)).into_response())
}

/// The official clients ask again by themselves, twice: pictures would be paid three times.
fn failed(status: Status) -> GatewayError {
    GatewayError::from(status).never_paid_twice()
}

/// Gets hold of a picture that was asked for as bytes and came as a key, because one message could not hold them all. If
/// that fails, its link is the answer: the picture is made, and perhaps paid.
async fn fetch(app: &App, context: &Context, picture: &mut pb::Picture) {
    match download::whole(app, context, &picture.media_key).await {
        Ok(data) => {
            picture.data = data;
            picture.media_key.clear();
        }
        Err(error) => tracing::warn!(code = error.code(), "a picture is answered as a link instead of as bytes"),
    }
}

#[cfg(test)]
mod tests;
