//! `POST /v1/estimate/images`: the cost of a request for images before it is sent.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use triptych_proto::{usd::usd, v1 as pb};

use super::wire;
use crate::{
    app::App, context::RequestContext, error::GatewayError, form::FormBody, links::Links, metadata::with_metadata,
    offload,
};

/// `POST /v1/estimate/images`, with the body of `POST /v1/images/generations` or `/v1/images/edits`.
pub(crate) async fn estimate(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    mut body: FormBody,
) -> Result<Response, GatewayError> {
    let length = body.len();
    let image = offload::run(length, move || wire::read_estimate(&mut body, &links)).await??;
    let call = context.call(pb::EstimateImagesRequest { image: Some(image) });
    let (metadata, reply, _) = app.core.usage.estimate_images(call).await?.into_parts();
    let estimate = reply.estimate.ok_or_else(GatewayError::internal)?;
    Ok(with_metadata(Json(Estimate::new(&estimate)).into_response(), metadata))
}

/// What a request for images would cost, and on what that depends.
#[derive(Debug, Serialize)]
struct Estimate<'a> {
    object: &'static str,
    model: &'a str,
    /// The most that the request can cost, in US dollars; null if the model has no price.
    cost: Option<String>,
    /// The same in millionths of a dollar.
    cost_micros: Option<i64>,
    price_version: Option<&'a str>,
    /// The number of images.
    n: u32,
    size: &'a str,
    quality: &'a str,
}

impl<'a> Estimate<'a> {
    fn new(estimate: &'a pb::ImageEstimate) -> Self {
        let pb::ImageEstimate { model, cost_micros, price_version, n, size, quality } = estimate;
        Self {
            object: "image.estimate",
            model,
            cost: cost_micros.map(usd),
            cost_micros: *cost_micros,
            price_version: (!price_version.is_empty()).then_some(price_version),
            n: *n,
            size,
            quality,
        }
    }
}
