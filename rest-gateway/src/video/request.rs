//! Video requests in JSON, multipart and queries, converted to the messages of the core's protobuf API.

use triptych_proto::v1::{self as pb, video::State};

use super::{inputs, source};
use crate::{
    error::GatewayError,
    form::{Fields, FormBody},
    links::Links,
    query::QueryParams,
};

/// Members of a create request that remixes, edits and extensions ignore: they take the values from their source video,
/// or have no such parameter. Clients that send them anyway are served.
const NOT_OF_A_SOURCE: [&str; 9] = [
    "input_reference",
    "frame_images",
    "input_references",
    "size",
    "resolution",
    "aspect_ratio",
    "generate_audio",
    "negative_prompt",
    "seed",
];

/// Further members that a remix ignores.
const NOT_OF_A_REMIX: [&str; 4] = ["model", "user", "callback_url", "fit_policy"];

/// The spellings of a duration, which an edit and a remix ignore.
const DURATIONS: [&str; 3] = ["seconds", "duration", "duration_seconds"];

/// Parses the body of a create request.
pub(super) fn read(
    body: &mut FormBody,
    idempotency_key: String,
    links: &Links,
) -> Result<pb::CreateVideoRequest, GatewayError> {
    let mut fields = body.fields()?;
    let input_reference = fields.take("input_reference");
    let input_reference = input_reference.map(|value| value.image_input("input_reference", links)).transpose()?;
    Ok(pb::CreateVideoRequest {
        model: fields.string("model")?,
        prompt: fields.string("prompt")?,
        input_reference,
        size: fields.string("size")?,
        duration_seconds: read_duration(&mut fields)?,
        seed: fields.integer("seed")?,
        user: fields.string("user")?,
        idempotency_key,
        frame_images: inputs::read_frames(fields.take_list("frame_images")?, links)?,
        input_references: inputs::read_references(fields.take_list("input_references")?, links)?,
        aspect_ratio: fields.string("aspect_ratio")?,
        resolution: fields.string("resolution")?,
        generate_audio: fields.optional_boolean("generate_audio")?,
        negative_prompt: fields.string("negative_prompt")?,
        callback_url: fields.string("callback_url")?,
        fit_policy: parse_fit_policy(&fields.string("fit_policy")?)?.into(),
        extra_json: fields.into_extra_json()?,
    })
}

/// Takes out the duration, which OpenAI calls `seconds`, and other APIs `duration`.
fn read_duration(fields: &mut Fields<'_>) -> Result<Option<u32>, GatewayError> {
    let (seconds, duration) = (fields.integer_or_string("seconds")?, fields.integer_or_string("duration")?);
    match (seconds, duration) {
        (Some(seconds), Some(duration)) if seconds != duration => {
            let message = format!("duration {duration}: `seconds` is {seconds}; send one of the two, or equal values");
            Err(GatewayError::invalid("duration", message))
        }
        (seconds, duration) => Ok(seconds.or(duration)),
    }
}

/// Parses `fit_policy`: whether a parameter that the model does not accept is replaced by the nearest value or refused.
fn parse_fit_policy(word: &str) -> Result<pb::FitPolicy, GatewayError> {
    match word {
        "" => Ok(pb::FitPolicy::Unspecified),
        "nearest" => Ok(pb::FitPolicy::Nearest),
        "strict" => Ok(pb::FitPolicy::Strict),
        _ => {
            let message = format!("fit_policy \"{word}\": expected `nearest` or `strict`");
            Err(GatewayError::invalid("fit_policy", message))
        }
    }
}

/// Parses the body of a remix request of the video `id`.
pub(super) fn read_remix(
    id: String,
    body: &mut FormBody,
    idempotency_key: String,
) -> Result<pb::RemixVideoRequest, GatewayError> {
    let mut fields = body.fields()?;
    let prompt = fields.string("prompt")?;
    // Otherwise they would be in `extra_json` and reach the provider.
    ignore(&mut fields, NOT_OF_A_SOURCE.iter().chain(&NOT_OF_A_REMIX).chain(&DURATIONS));
    Ok(pb::RemixVideoRequest { id, prompt, idempotency_key, extra_json: fields.into_extra_json()? })
}

/// Parses the body of an edit request.
pub(super) fn read_edit(
    body: &mut FormBody,
    idempotency_key: String,
    links: &Links,
) -> Result<pb::EditVideoRequest, GatewayError> {
    let mut fields = body.fields()?;
    let video = fields.take(source::FIELD).map(|value| source::read(&value, links)).transpose()?;
    ignore(&mut fields, NOT_OF_A_SOURCE.iter().chain(&DURATIONS).chain(&["fit_policy"]));
    Ok(pb::EditVideoRequest {
        model: fields.string("model")?,
        prompt: fields.string("prompt")?,
        video,
        idempotency_key,
        user: fields.string("user")?,
        callback_url: fields.string("callback_url")?,
        extra_json: fields.into_extra_json()?,
    })
}

/// Parses the body of an extension request.
pub(super) fn read_extend(
    body: &mut FormBody,
    idempotency_key: String,
    links: &Links,
) -> Result<pb::ExtendVideoRequest, GatewayError> {
    let mut fields = body.fields()?;
    let video = fields.take(source::FIELD).map(|value| source::read(&value, links)).transpose()?;
    ignore(&mut fields, &NOT_OF_A_SOURCE);
    Ok(pb::ExtendVideoRequest {
        model: fields.string("model")?,
        prompt: fields.string("prompt")?,
        video,
        idempotency_key,
        user: fields.string("user")?,
        callback_url: fields.string("callback_url")?,
        duration_seconds: read_duration(&mut fields)?,
        fit_policy: parse_fit_policy(&fields.string("fit_policy")?)?.into(),
        extra_json: fields.into_extra_json()?,
    })
}

/// Takes out fields and discards their values.
fn ignore<'a>(fields: &mut Fields<'_>, names: impl IntoIterator<Item = &'a &'static str>) {
    for name in names {
        fields.take(name);
    }
}

/// Parses the query of a list request.
pub(super) fn read_list(query: &QueryParams) -> Result<pb::ListVideosRequest, GatewayError> {
    let limit = match query.get("limit") {
        None => None,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| *limit <= 100);
            Some(limit.ok_or_else(|| {
                GatewayError::invalid("limit", format!("limit \"{text}\": expected an integer, 0 to 100"))
            })?)
        }
    };
    let order = match query.get("order") {
        None | Some("desc") => pb::VideoOrder::NewestFirst,
        Some("asc") => pb::VideoOrder::OldestFirst,
        Some(word) => {
            let message = format!("order \"{word}\": expected `asc` or `desc`");
            return Err(GatewayError::invalid("order", message));
        }
    };
    let after = query.get("after").unwrap_or_default().to_owned();
    let owner = query.get("owner").map(str::to_owned);
    let states = query.get("status").map(states_of).transpose()?.unwrap_or_default();
    let states = states.iter().map(|&state| state.into()).collect();
    let model = query.get("model").unwrap_or_default().to_owned();
    Ok(pb::ListVideosRequest { page_size: limit, page_token: after, order: order.into(), owner, states, model })
}

/// Returns the states of videos with this `status`. `cancelled` is no status of a video but selects those with the status `failed`
/// that were cancelled.
fn states_of(status: &str) -> Result<&'static [State], GatewayError> {
    match status {
        "queued" => Ok(&[State::Queued]),
        "in_progress" => Ok(&[State::Submitting, State::Rendering, State::Storing]),
        "completed" => Ok(&[State::Succeeded]),
        "failed" => Ok(&[State::Failed, State::Cancelled]),
        "cancelled" => Ok(&[State::Cancelled]),
        _ => {
            let message =
                format!("status \"{status}\": expected `queued`, `in_progress`, `completed`, `failed` or `cancelled`");
            Err(GatewayError::invalid("status", message))
        }
    }
}

/// Parses the `variant` parameter of a download; the default is the video itself.
pub(super) fn read_variant(word: &str) -> Result<pb::VideoVariant, GatewayError> {
    match word {
        "" | "video" => Ok(pb::VideoVariant::Video),
        "thumbnail" => Ok(pb::VideoVariant::Thumbnail),
        "spritesheet" => Ok(pb::VideoVariant::Spritesheet),
        _ => Err(GatewayError::invalid(
            "variant",
            format!("variant \"{word}\": expected `video`, `thumbnail` or `spritesheet`"),
        )),
    }
}
