//! The cost of a video before it is created: the request is validated and fitted as in `CreateVideo`, and nothing is stored.

use triptych_proto::v1::{self as pb, media_input::Source};

use super::{VideoGrpc, create::fitted, inputs::ResolvedInput};
use crate::{
    context::RequestContext,
    error::Error,
    video::{
        inputs::{InputRole, InputSource, StoredInput},
        response::adjustment,
        validate::{self, RequestedInput},
    },
};

impl VideoGrpc {
    /// Returns what `CreateVideo` would reserve for a request, by the current prices. Inputs that are given by a URL are not
    /// fetched. Nothing counts against the limits of the caller.
    ///
    /// # Errors
    /// Those of `CreateVideo` for an invalid request.
    pub(crate) async fn estimate(
        &self,
        context: &RequestContext,
        request: pb::CreateVideoRequest,
    ) -> Result<pb::VideoEstimate, Error> {
        let (entry, mut video) = self.validated(context, request)?;
        context.caller.check_model(&entry.id)?;
        let inputs = std::mem::take(&mut video.inputs);
        let roles: Vec<_> = inputs.iter().map(|input| input.role).collect();
        // The size of a frame has an effect only if the request has neither of these.
        let depends_on_frame = video.wanted.size.is_none() && video.wanted.aspect_ratio.is_none();
        let (fetched, given): (Vec<_>, Vec<_>) = inputs.into_iter().partition(is_fetched);
        let frame_size_unknown = depends_on_frame && fetched.iter().any(is_frame);
        let given = self.resolve(context, given).await?;
        let frame = given.iter().find_map(ResolvedInput::frame_size).filter(|_| !frame_size_unknown);
        let mut request = fitted(&entry, video, frame)?;
        // A price depends on the kinds of inputs and not on their content, so the links are empty.
        let input = |role| StoredInput { role, source: InputSource::Link(String::new()) };
        request.parameters.inputs = roles.into_iter().map(input).collect();
        let charge = self.jobs.charge(&request, context.caller.payer());
        let parameters = request.parameters;
        Ok(pb::VideoEstimate {
            cost_micros: charge.price.as_ref().map(|_| charge.estimate.micros()),
            price_version: charge.price_version(),
            model: request.model,
            size: parameters.size().to_string(),
            video_input: parameters.has_video_input(),
            resolution: parameters.resolution,
            aspect_ratio: parameters.aspect_ratio,
            duration_seconds: parameters.seconds,
            generate_audio: parameters.generate_audio,
            adjustments: parameters.adjustments.iter().map(adjustment).collect(),
            frame_size_unknown,
        })
    }
}

/// Returns whether `CreateVideo` fetches the input from a URL. URIs of the provider's own file store are not fetched.
fn is_fetched(input: &RequestedInput) -> bool {
    matches!(&input.input.source, Some(Source::Url(url)) if !validate::is_provider_uri(url))
}

fn is_frame(input: &RequestedInput) -> bool {
    matches!(input.role, InputRole::FirstFrame | InputRole::LastFrame)
}
