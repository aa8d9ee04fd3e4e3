//! `POST /v1/estimate/videos`: the cost of a video before it is created.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use triptych_proto::{usd::usd, v1 as pb};

use super::{read_form, request, response::Adjustment};
use crate::{
    app::App, context::RequestContext, error::GatewayError, form::FormBody, links::Links, metadata::with_metadata,
};

/// `POST /v1/estimate/videos`, with the body of `POST /v1/videos`.
pub(crate) async fn estimate(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    let (video, _) = read_form(&context, links, body, request::read).await?;
    let call = context.call(pb::EstimateVideoRequest { video: Some(video) });
    let (metadata, reply, _) = app.core.usage.estimate_video(call).await?.into_parts();
    let estimate = reply.estimate.ok_or_else(GatewayError::internal)?;
    Ok(with_metadata(Json(Estimate::new(&estimate)).into_response(), metadata))
}

/// What a video would cost, and on what that depends.
#[derive(Debug, Serialize)]
struct Estimate<'a> {
    object: &'static str,
    model: &'a str,
    /// In US dollars; if several prices are possible, by the highest; null if the model has no price.
    cost: Option<String>,
    /// The same in millionths of a dollar.
    cost_micros: Option<i64>,
    price_version: Option<&'a str>,
    /// The size that the video would have, after the adjustments; so are the duration and the parameters below.
    size: &'a str,
    seconds: String,
    resolution: Option<&'a str>,
    aspect_ratio: Option<&'a str>,
    generate_audio: Option<bool>,
    /// Whether a video is among the inputs.
    video_input: bool,
    adjustments: Vec<Adjustment<'a>>,
    /// Whether the size depends on a frame given by its URL, which an estimate does not fetch.
    frame_size_unknown: bool,
}

impl<'a> Estimate<'a> {
    fn new(estimate: &'a pb::VideoEstimate) -> Self {
        let pb::VideoEstimate {
            model,
            cost_micros,
            price_version,
            size,
            resolution,
            aspect_ratio,
            duration_seconds,
            generate_audio,
            video_input,
            adjustments,
            frame_size_unknown,
        } = estimate;
        let text = |text: &'a String| (!text.is_empty()).then_some(text.as_str());
        Self {
            object: "video.estimate",
            model,
            cost: cost_micros.map(usd),
            cost_micros: *cost_micros,
            price_version: text(price_version),
            size,
            seconds: duration_seconds.to_string(),
            resolution: text(resolution),
            aspect_ratio: text(aspect_ratio),
            generate_audio: *generate_audio,
            video_input: *video_input,
            adjustments: adjustments.iter().map(Adjustment::new).collect(),
            frame_size_unknown: *frame_size_unknown,
        }
    }
}
