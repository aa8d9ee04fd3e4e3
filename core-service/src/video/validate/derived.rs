//! Validation of requests to edit or extend a video, except for what depends on the model and on the video.

use triptych_proto::v1::{self as pb, media_input, video_source::Source};

use super::{
    create,
    inputs::{self, RequestedInput},
};
use crate::{
    check,
    error::Error,
    model_facts::fit::FitPolicy,
    video::{inputs::InputRole, operation::Operation},
};

/// The request field with the video to edit or extend.
pub(in crate::video) const SOURCE_FIELD: &str = "video";

/// A request to edit or extend a video.
#[derive(Debug)]
pub(in crate::video) struct DerivedVideo {
    pub(in crate::video) operation: Operation,
    /// Empty: the model of the source.
    pub(in crate::video) model: String,
    pub(in crate::video) prompt: String,
    pub(in crate::video) source: RequestedSource,
    pub(in crate::video) user: String,
    pub(in crate::video) callback_url: Option<String>,
    /// The duration of an extension.
    pub(in crate::video) seconds: Option<u32>,
    /// `None`: the policy of the operator.
    pub(in crate::video) fit_policy: Option<FitPolicy>,
    pub(in crate::video) extra_json: String,
}

/// The video to edit or extend.
#[derive(Debug)]
pub(in crate::video) enum RequestedSource {
    /// The id of a video.
    Video(String),
    /// A file, which is yet to be read.
    File(RequestedInput),
}

/// Validates a request to edit a video.
pub(in crate::video) fn validate_edit(request: pb::EditVideoRequest) -> Result<DerivedVideo, Error> {
    let pb::EditVideoRequest { model, prompt, video, idempotency_key: _, user, callback_url, extra_json } = request;
    let (seconds, fit_policy) = (None, None);
    let source = parse_source(video)?;
    let callback_url = create::parse_callback_url(callback_url)?;
    let operation = Operation::Edit;
    checked(DerivedVideo { operation, model, prompt, source, user, callback_url, seconds, fit_policy, extra_json })
}

/// Validates a request to extend a video.
pub(in crate::video) fn validate_extend(request: pb::ExtendVideoRequest) -> Result<DerivedVideo, Error> {
    let pb::ExtendVideoRequest {
        model,
        prompt,
        video,
        idempotency_key: _,
        user,
        callback_url,
        duration_seconds,
        fit_policy,
        extra_json,
    } = request;
    let seconds = duration_seconds.map(create::check_seconds).transpose()?;
    let fit_policy = create::parse_fit_policy(fit_policy)?;
    let source = parse_source(video)?;
    let callback_url = create::parse_callback_url(callback_url)?;
    let operation = Operation::Extend;
    checked(DerivedVideo { operation, model, prompt, source, user, callback_url, seconds, fit_policy, extra_json })
}

fn checked(new: DerivedVideo) -> Result<DerivedVideo, Error> {
    check::prompt(&new.prompt)?;
    create::check_extra(&new.extra_json)?;
    create::check_stored_text("user", "has", &new.user)?;
    Ok(new)
}

fn parse_source(video: Option<pb::VideoSource>) -> Result<RequestedSource, Error> {
    let required = || Error::invalid(SOURCE_FIELD, "is required: the id of a video, or an MP4 file");
    match video.and_then(|video| video.source).ok_or_else(required)? {
        Source::Id(id) if id.is_empty() => Err(required()),
        Source::Id(id) => Ok(RequestedSource::Video(id)),
        Source::File(input) => {
            match &input.source {
                None => return Err(required()),
                Some(media_input::Source::Url(url)) => inputs::check_link(SOURCE_FIELD, url)?,
                Some(media_input::Source::Data(_) | media_input::Source::MediaKey(_)) => {}
            }
            Ok(RequestedSource::File(RequestedInput { role: InputRole::Source, field: SOURCE_FIELD.to_owned(), input }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::refused_field, *};

    fn request() -> pb::ExtendVideoRequest {
        let video = Some(pb::VideoSource { source: Some(Source::Id("video_1".to_owned())) });
        pb::ExtendVideoRequest { prompt: "it sails on".to_owned(), video, ..pb::ExtendVideoRequest::default() }
    }

    fn file(source: Option<media_input::Source>) -> pb::VideoSource {
        pb::VideoSource { source: Some(Source::File(pb::MediaInput { source })) }
    }

    #[test]
    fn invalid_field_is_named() {
        let wrong = |change: &dyn Fn(&mut pb::ExtendVideoRequest)| {
            let mut request = request();
            change(&mut request);
            refused_field(validate_extend(request))
        };
        assert_eq!(wrong(&|r| r.prompt.clear()), "prompt");
        assert_eq!(wrong(&|r| r.duration_seconds = Some(61)), "duration_seconds");
        assert_eq!(wrong(&|r| r.fit_policy = 7), "fit_policy");
        assert_eq!(wrong(&|r| r.callback_url = "a".to_owned()), "callback_url");
        assert_eq!(wrong(&|r| r.extra_json = r#"{"size":"1x1"}"#.to_owned()), "extra_json");
        let link = |url: &str| file(Some(media_input::Source::Url(url.to_owned())));
        for video in [None, Some(pb::VideoSource::default()), Some(file(None)), Some(link("file:///etc/passwd"))] {
            assert_eq!(wrong(&|r| r.video.clone_from(&video)), "video", "{video:?}");
        }
    }

    #[test]
    fn source_is_an_id_or_a_file() {
        assert!(matches!(validate_extend(request()).unwrap().source, RequestedSource::Video(id) if id == "video_1"));
        let video = Some(file(Some(media_input::Source::Url("https://a.test/v.mp4".to_owned()))));
        let request = pb::EditVideoRequest { prompt: "rain".to_owned(), video, ..pb::EditVideoRequest::default() };
        let DerivedVideo { operation, source: RequestedSource::File(input), .. } = validate_edit(request).unwrap()
        else {
            panic!()
        };
        assert_eq!((operation, input.role, input.field.as_str()), (Operation::Edit, InputRole::Source, "video"));
    }
}
