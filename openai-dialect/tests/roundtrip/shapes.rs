//! Strategies for OpenAI-shaped documents.

use proptest::{collection::vec, option::weighted, prelude::*};

use crate::json::{Json, anything, number, scalar, text, vendor_members};

type Shape = BoxedStrategy<Json>;

/// An object of these members, in any order, and of some that no field is for.
fn object(required: Vec<(&'static str, Shape)>, optional: Vec<(&'static str, Shape)>) -> Shape {
    let named = |(name, shape): (&'static str, Shape)| shape.prop_map(move |value| (name.to_owned(), value)).boxed();
    let required: Vec<_> = required.into_iter().map(named).collect();
    // A null is as good as an absent member, and must be as visible to the upstream as the caller made it.
    let optional: Vec<_> = optional
        .into_iter()
        .map(|(name, shape)| weighted(0.4, named((name, prop_oneof![4 => shape, 1 => Just(Json::null())].boxed()))))
        .collect();
    (required, optional, vendor_members())
        .prop_map(|(mut members, optional, vendor)| {
            members.extend(optional.into_iter().flatten());
            members.extend(vendor);
            members
        })
        .prop_shuffle()
        .prop_map(Json::Object)
        .boxed()
}

fn list(item: Shape) -> Shape {
    vec(item, 0..3).prop_map(Json::List).boxed()
}

fn word(words: &'static [&'static str]) -> Shape {
    proptest::sample::select(words).prop_map(Json::text).boxed()
}

fn schema() -> Shape {
    object(vec![("type", word(&["object"]))], vec![("properties", object(vec![], vec![]))])
}

fn part() -> Shape {
    let image = object(vec![("url", text())], vec![("detail", text())]);
    let audio = object(vec![("data", text()), ("format", text())], vec![]);
    let file = object(vec![], vec![("file_data", text()), ("file_id", text()), ("filename", text())]);
    // Members of other kinds beside its own belong to the part like any vendor's.
    prop_oneof![
        object(vec![("type", word(&["text"])), ("text", text())], vec![("image_url", anything())]),
        object(vec![("type", word(&["refusal"])), ("refusal", text())], vec![("text", anything())]),
        object(vec![("type", word(&["image_url"])), ("image_url", image)], vec![("text", anything())]),
        object(vec![("type", word(&["input_audio"])), ("input_audio", audio)], vec![]),
        object(vec![("type", word(&["file"])), ("file", file)], vec![]),
        object(
            vec![("type", word(&["video_url", "input_image"]))],
            vec![("text", anything()), ("image_url", anything())]
        ),
    ]
    .boxed()
}

fn tool_call() -> Shape {
    let function = object(vec![("name", text()), ("arguments", text())], vec![]);
    prop_oneof![
        object(vec![("id", text()), ("type", word(&["function"])), ("function", function)], vec![]),
        object(vec![("id", text()), ("type", word(&["custom"])), ("custom", anything())], vec![]),
    ]
    .boxed()
}

fn message_members() -> Vec<(&'static str, Shape)> {
    vec![
        ("content", prop_oneof![text(), list(part())].boxed()),
        ("name", text()),
        ("tool_calls", list(tool_call())),
        ("tool_call_id", text()),
        ("refusal", text()),
        ("reasoning_content", text()),
        ("annotations", anything()),
        ("audio", anything()),
    ]
}

fn tool() -> Shape {
    let function = object(
        vec![("name", text())],
        vec![("description", text()), ("parameters", schema()), ("strict", scalar::<bool>())],
    );
    prop_oneof![
        object(vec![("type", word(&["function"])), ("function", function)], vec![]),
        object(vec![("type", word(&["custom"]))], vec![("custom", anything())]),
    ]
    .boxed()
}

/// A body of `POST /v1/chat/completions`.
pub(crate) fn request() -> Shape {
    let message = object(vec![("role", word(&["system", "user", "assistant", "tool", "x_critic"]))], message_members());
    let named = object(vec![("name", text())], vec![]);
    let choice = prop_oneof![
        word(&["none", "auto", "required"]),
        object(vec![("type", word(&["function"])), ("function", named)], vec![]),
        object(vec![("type", word(&["allowed_tools"]))], vec![]),
    ];
    let json_schema = object(
        vec![("name", text())],
        vec![("schema", schema()), ("strict", scalar::<bool>()), ("description", text())],
    );
    let format = object(vec![("type", word(&["text", "json_schema"]))], vec![("json_schema", json_schema)]);
    let options = object(vec![], vec![("include_usage", scalar::<bool>())]);
    let bias = vec(("[0-9]{1,6}", number()), 0..3).prop_map(|mut members| {
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        members.dedup_by(|(one, _), (other, _)| one == other);
        Json::Object(members)
    });
    let notes = proptest::collection::btree_map(any::<String>(), text(), 0..3)
        .prop_map(|members| Json::Object(members.into_iter().collect()));
    object(
        vec![("model", text()), ("messages", list(message))],
        vec![
            ("stream", scalar::<bool>()),
            ("stream_options", options),
            ("tools", list(tool())),
            ("tool_choice", choice.boxed()),
            ("parallel_tool_calls", scalar::<bool>()),
            ("response_format", format),
            ("n", scalar::<u32>()),
            ("max_completion_tokens", scalar::<u64>()),
            ("max_tokens", scalar::<u64>()),
            ("temperature", number()),
            ("top_p", number()),
            ("presence_penalty", number()),
            ("frequency_penalty", number()),
            ("seed", scalar::<i64>()),
            ("stop", prop_oneof![text(), list(text())].boxed()),
            ("logprobs", scalar::<bool>()),
            ("top_logprobs", scalar::<u32>()),
            ("logit_bias", bias.boxed()),
            ("modalities", list(text())),
            ("reasoning_effort", text()),
            ("service_tier", text()),
            ("user", text()),
            ("metadata", notes.boxed()),
            ("store", scalar::<bool>()),
        ],
    )
}

fn logprobs() -> Shape {
    let token = |top: Vec<(&'static str, Shape)>| {
        let logprob = prop_oneof![4 => number(), 1 => Just(Json::null())].boxed();
        object(vec![("token", text()), ("logprob", logprob)], [vec![("bytes", list(scalar::<u8>()))], top].concat())
    };
    let tokens = list(token(vec![("top_logprobs", list(token(vec![])))]));
    object(vec![], vec![("content", tokens.clone()), ("refusal", tokens)])
}

fn usage() -> Shape {
    let count = scalar::<u64>;
    let prompt = object(vec![], vec![("cached_tokens", count()), ("audio_tokens", count())]);
    let completion = object(
        vec![],
        vec![
            ("reasoning_tokens", count()),
            ("audio_tokens", count()),
            ("accepted_prediction_tokens", count()),
            ("rejected_prediction_tokens", count()),
        ],
    );
    object(
        vec![("prompt_tokens", count()), ("completion_tokens", count()), ("total_tokens", count())],
        vec![("prompt_tokens_details", prompt), ("completion_tokens_details", completion)],
    )
}

fn envelope(kind: &'static [&'static str], choices: Shape) -> Shape {
    object(
        vec![
            ("id", text()),
            ("object", word(kind)),
            ("created", scalar::<u32>()),
            ("model", text()),
            ("choices", choices),
        ],
        vec![("usage", usage()), ("system_fingerprint", text()), ("service_tier", text())],
    )
}

/// An answer in one piece.
pub(crate) fn reply() -> Shape {
    let message =
        object(vec![("role", word(&["assistant"]))], [message_members(), vec![("reasoning", text())]].concat());
    let choice = object(
        vec![("index", scalar::<u32>()), ("message", message), ("finish_reason", text())],
        vec![("logprobs", logprobs()), ("stop_reason", anything())],
    );
    envelope(&["chat.completion"], list(choice))
}

/// One event of a stream.
pub(crate) fn chunk() -> Shape {
    let function = object(vec![], vec![("name", text()), ("arguments", text())]);
    let call = object(vec![("index", scalar::<u32>())], vec![("id", text()), ("type", text()), ("function", function)]);
    let delta = object(
        vec![],
        vec![
            ("role", text()),
            ("content", text()),
            ("refusal", text()),
            ("reasoning_content", text()),
            ("reasoning", text()),
            ("tool_calls", list(call)),
        ],
    );
    let choice = object(
        vec![("index", scalar::<u32>()), ("delta", delta)],
        vec![("finish_reason", text()), ("logprobs", logprobs())],
    );
    envelope(&["chat.completion.chunk"], list(choice))
}
