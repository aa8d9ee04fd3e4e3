//! The request that creates a video again, made from the stored parameters of its job.
//!
//! Parameters are those that the model got, so that they are accepted again. Inputs are named by the keys of the job's own copies, which
//! exist as long as the job. The callback is left out: it was meant for the one job.

use triptych_proto::v1::{
    self as pb, media_input, video_frame::Position, video_reference::Kind, video_request::Request, video_source::Source,
};

use super::{
    files,
    inputs::{InputRole, InputSource, StoredInput},
    job::{Job, JobRequest},
    operation::Operation,
    parameters::VideoParameters,
    validate,
};
use crate::media::MediaKey;

/// Returns the request that creates the video of a job again. `None`, if the video that it was made from is not known: an edit or an
/// extension from before the ids of sources were stored.
pub(super) fn request(job: &Job) -> Option<pb::VideoRequest> {
    let JobRequest { model, parameters, remixed_from, requested_seconds, .. } = &job.request;
    let VideoParameters { prompt, user, extra_json, .. } = parameters;
    let (model, prompt, user, extra_json) = (model.clone(), prompt.clone(), user.clone(), extra_json.clone());
    let video = source(&job.request);
    let request = match parameters.operation {
        Operation::Generate => Request::Create(create(&job.request)),
        Operation::Edit => {
            let video = Some(video?);
            let edit = pb::EditVideoRequest { model, prompt, video, user, extra_json, ..Default::default() };
            Request::Edit(edit)
        }
        Operation::Extend => Request::Extend(pb::ExtendVideoRequest {
            model,
            prompt,
            video: Some(video?),
            duration_seconds: *requested_seconds,
            user,
            extra_json,
            ..pb::ExtendVideoRequest::default()
        }),
        Operation::Remix => {
            let id = remixed_from.as_ref()?.to_string();
            Request::Remix(pb::RemixVideoRequest { id, prompt, idempotency_key: String::new(), extra_json })
        }
    };
    Some(pb::VideoRequest { request: Some(request) })
}

fn create(request: &JobRequest) -> pb::CreateVideoRequest {
    // Destructured, so that a new parameter stops the build here.
    let VideoParameters {
        prompt,
        width: _,
        height: _,
        seconds,
        seed,
        inputs,
        operation: _,
        source: _,
        source_file: _,
        user,
        resolution,
        aspect_ratio,
        generate_audio,
        negative_prompt,
        callback_url: _,
        adjustments: _,
        extra_json,
    } = &request.parameters;
    // Models with sizes in pixels have neither resolution nor ratio. A size that no request can have is left out: its model has no other.
    let has_size = resolution.is_empty() && aspect_ratio.is_empty();
    let size = Some(request.parameters.size().to_string());
    let size = size.filter(|size| has_size && validate::parse_size(size).is_ok());
    let frame = |input: &StoredInput| {
        let position = match input.role {
            InputRole::FirstFrame => Position::First,
            InputRole::LastFrame => Position::Last,
            InputRole::Image | InputRole::Video | InputRole::Sound | InputRole::Source => return None,
        };
        Some(pb::VideoFrame { image: Some(media(input)), position: position.into() })
    };
    let reference = |input: &StoredInput| {
        let kind = match input.role {
            InputRole::Image => Kind::Image,
            InputRole::Video => Kind::Video,
            InputRole::Sound => Kind::Audio,
            InputRole::FirstFrame | InputRole::LastFrame | InputRole::Source => return None,
        };
        Some(pb::VideoReference { media: Some(media(input)), kind: kind.into() })
    };
    pb::CreateVideoRequest {
        model: request.model.clone(),
        prompt: prompt.clone(),
        // A first frame is among the `frame_images`.
        input_reference: None,
        size: size.unwrap_or_default(),
        duration_seconds: validate::check_seconds(*seconds).ok(),
        seed: *seed,
        user: user.clone(),
        idempotency_key: String::new(),
        frame_images: inputs.iter().filter_map(frame).collect(),
        input_references: inputs.iter().filter_map(reference).collect(),
        aspect_ratio: aspect_ratio.clone(),
        resolution: resolution.clone(),
        generate_audio: *generate_audio,
        negative_prompt: negative_prompt.clone(),
        callback_url: String::new(),
        fit_policy: pb::FitPolicy::Unspecified.into(),
        extra_json: extra_json.clone(),
    }
}

/// Returns the video that an edit or an extension starts from: the job's own copy or link, otherwise the id of the video.
fn source(request: &JobRequest) -> Option<pb::VideoSource> {
    let JobRequest { parameters, source_video, .. } = request;
    let source = if let Some(input) = parameters.inputs.iter().find(|input| input.role == InputRole::Source) {
        Source::File(media(input))
    } else {
        // Earlier releases stored the key of the file only, and only for models that also accept files.
        let of_file = || files::job_id(&MediaKey::parse(parameters.source_file.as_ref()?)?);
        Source::Id(source_video.clone().or_else(of_file)?.to_string())
    };
    Some(pb::VideoSource { source: Some(source) })
}

fn media(input: &StoredInput) -> pb::MediaInput {
    let source = match &input.source {
        InputSource::Stored(key) => media_input::Source::MediaKey(key.clone()),
        InputSource::Link(url) => media_input::Source::Url(url.clone()),
    };
    pb::MediaInput { source: Some(source) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        keys::Owner,
        video::{job::JobId, provider::UpstreamTask, testing, time::Timestamp},
    };

    /// Returns the request that repeats a job with these changes.
    fn repeated(change: impl FnOnce(&mut JobRequest)) -> Option<Request> {
        let mut request = testing::request();
        change(&mut request);
        let job = Job::new(JobId::new(), Owner::default(), request, Timestamp(0), Duration::ZERO);
        super::request(&job).map(|repetition| repetition.request.unwrap())
    }

    fn created(change: impl FnOnce(&mut JobRequest)) -> pb::CreateVideoRequest {
        match repeated(change) {
            Some(Request::Create(create)) => create,
            other => panic!("{other:?}"),
        }
    }

    fn input(role: InputRole, source: InputSource) -> StoredInput {
        StoredInput { role, source }
    }

    fn stored(key: &str) -> InputSource {
        InputSource::Stored(key.to_owned())
    }

    #[test]
    fn create_has_the_parameters_and_names_the_inputs() {
        let link = InputSource::Link("https://a.test/v.mp4".to_owned());
        let create = created(|request| {
            let parameters = &mut request.parameters;
            parameters.inputs =
                vec![input(InputRole::LastFrame, stored("b.png")), input(InputRole::FirstFrame, stored("a.png"))];
            (parameters.seed, parameters.negative_prompt) = (Some(7), "rain".to_owned());
            parameters.callback_url = Some("https://a.test/hook".to_owned());
            // Larger than any f64: the text must stay as it is.
            parameters.extra_json = r#"{"a":1E400}"#.to_owned();
        });
        let frames: Vec<_> = create.frame_images.iter().map(|frame| (frame.position(), frame.image.clone())).collect();
        let key = |key: &str| Some(pb::MediaInput { source: Some(media_input::Source::MediaKey(key.to_owned())) });
        assert_eq!(frames, [(Position::Last, key("b.png")), (Position::First, key("a.png"))]);
        assert_eq!((create.seed, create.negative_prompt.as_str()), (Some(7), "rain"));
        assert_eq!((create.callback_url.as_str(), create.extra_json.as_str()), ("", r#"{"a":1E400}"#));
        let references = created(|request| {
            request.parameters.inputs = vec![input(InputRole::Sound, stored("a.mp3")), input(InputRole::Video, link)];
        });
        let kinds: Vec<_> = references.input_references.iter().map(pb::VideoReference::kind).collect();
        assert_eq!(kinds, [Kind::Audio, Kind::Video]);
        let url = media_input::Source::Url("https://a.test/v.mp4".to_owned());
        assert_eq!(references.input_references[1].media, Some(pb::MediaInput { source: Some(url) }));
    }

    #[test]
    fn create_has_a_size_only_for_models_with_sizes_in_pixels() {
        let output = |width, resolution: &str| {
            let create = created(|request| {
                let parameters = &mut request.parameters;
                (parameters.width, parameters.height) = (width, 720);
                parameters.resolution = resolution.to_owned();
            });
            (create.size, create.resolution)
        };
        assert_eq!(output(1280, ""), ("1280x720".to_owned(), String::new()));
        assert_eq!(output(1280, "720p"), (String::new(), "720p".to_owned()));
        // No request can have an odd side.
        assert_eq!(output(1281, ""), (String::new(), String::new()));
    }

    #[test]
    fn edit_and_extension_name_their_source() {
        let id = JobId::new();
        let derived = |change: &dyn Fn(&mut JobRequest)| {
            repeated(|request| {
                request.parameters.operation = Operation::Extend;
                request.requested_seconds = Some(4);
                change(request);
            })
        };
        let source_of = |repetition: Option<Request>| match repetition {
            Some(Request::Extend(extend)) => {
                assert_eq!(extend.duration_seconds, Some(4));
                extend.video.unwrap().source.unwrap()
            }
            other => panic!("{other:?}"),
        };
        let by_id = Source::Id(id.to_string());
        let native = |request: &mut JobRequest| request.parameters.source = Some(UpstreamTask("t".to_owned()));
        assert_eq!(derived(&native), None, "the source is not known");
        let known = derived(&|request| {
            native(request);
            request.source_video = Some(id.clone());
        });
        assert_eq!(source_of(known), by_id);
        let known_by_file = derived(&|request| {
            native(request);
            request.parameters.source_file = Some(format!("{id}.mp4"));
        });
        assert_eq!(source_of(known_by_file), by_id);
        // The job's own copy outlives its source.
        let copied = derived(&|request| {
            request.source_video = Some(id.clone());
            request.parameters.inputs = vec![input(InputRole::Source, stored("c.mp4"))];
        });
        let key = media_input::Source::MediaKey("c.mp4".to_owned());
        assert_eq!(source_of(copied), Source::File(pb::MediaInput { source: Some(key) }));
    }

    #[test]
    fn remix_at_the_provider_is_repeated_as_a_remix() {
        let id = JobId::new();
        let Some(Request::Remix(remix)) = repeated(|request| {
            request.parameters.operation = Operation::Remix;
            request.remixed_from = Some(id.clone());
        }) else {
            panic!()
        };
        assert_eq!((remix.id, remix.prompt), (id.to_string(), testing::request().parameters.prompt));
    }
}
