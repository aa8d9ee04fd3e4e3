//! Strategies for documents in the form of OpenAI's API.

use proptest::{collection::vec, option::weighted, prelude::*};

use crate::json::{Json, anything, number, scalar, text, vendor_members};

type JsonStrategy = BoxedStrategy<Json>;

/// Generates an object of these members and of vendor extensions, in any order.
fn object(required: Vec<(&'static str, JsonStrategy)>, optional: Vec<(&'static str, JsonStrategy)>) -> JsonStrategy {
    let named =
        |(name, value): (&'static str, JsonStrategy)| value.prop_map(move |value| (name.to_owned(), value)).boxed();
    let required: Vec<_> = required.into_iter().map(named).collect();
    // An explicit `null` must reach the upstream as such.
    let optional: Vec<_> = optional
        .into_iter()
        .map(|(name, value)| weighted(0.4, named((name, prop_oneof![4 => value, 1 => Just(Json::null())].boxed()))))
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

fn array(item: JsonStrategy) -> JsonStrategy {
    vec(item, 0..3).prop_map(Json::Array).boxed()
}

fn one_of(values: &'static [&'static str]) -> JsonStrategy {
    proptest::sample::select(values).prop_map(Json::text).boxed()
}

fn schema() -> JsonStrategy {
    object(vec![("type", one_of(&["object"]))], vec![("properties", object(vec![], vec![]))])
}

fn part() -> JsonStrategy {
    let image = object(vec![("url", text())], vec![("detail", text())]);
    let audio = object(vec![("data", text()), ("format", text())], vec![]);
    let file = ["file_data", "file_id", "filename", "file_url"].map(|name| (name, text()));
    let file = object(vec![], file.into());
    // Members that belong to other types are treated like vendor extensions.
    prop_oneof![
        object(vec![("type", one_of(&["text"])), ("text", text())], vec![("image_url", anything())]),
        object(vec![("type", one_of(&["refusal"])), ("refusal", text())], vec![("text", anything())]),
        object(vec![("type", one_of(&["image_url"])), ("image_url", image)], vec![("text", anything())]),
        object(vec![("type", one_of(&["input_audio"])), ("input_audio", audio)], vec![]),
        object(vec![("type", one_of(&["file"])), ("file", file)], vec![]),
        object(
            vec![("type", one_of(&["video_url", "input_image"]))],
            vec![("text", anything()), ("image_url", anything())]
        ),
    ]
    .boxed()
}

fn tool_call() -> JsonStrategy {
    let function = object(vec![("name", text()), ("arguments", text())], vec![]);
    prop_oneof![
        object(vec![("id", text()), ("type", one_of(&["function"])), ("function", function)], vec![]),
        object(vec![("id", text()), ("type", one_of(&["custom"])), ("custom", anything())], vec![]),
    ]
    .boxed()
}

/// The members of a message of a response, whose content is a text: of parts, the texts are joined.
fn response_message_members() -> Vec<(&'static str, JsonStrategy)> {
    let mut members = message_members();
    members.retain(|(name, _)| *name != "content");
    members.push(("content", text()));
    members
}

fn message_members() -> Vec<(&'static str, JsonStrategy)> {
    vec![
        ("content", prop_oneof![text(), array(part())].boxed()),
        ("name", text()),
        ("tool_calls", array(tool_call())),
        ("tool_call_id", text()),
        ("refusal", text()),
        ("reasoning_content", text()),
        ("annotations", anything()),
        ("audio", anything()),
    ]
}

fn tool() -> JsonStrategy {
    let function = object(
        vec![("name", text())],
        vec![("description", text()), ("parameters", schema()), ("strict", scalar::<bool>())],
    );
    prop_oneof![
        object(vec![("type", one_of(&["function"])), ("function", function)], vec![]),
        object(vec![("type", one_of(&["custom"]))], vec![("custom", anything())]),
    ]
    .boxed()
}

/// Generates the body of `POST /v1/chat/completions`.
pub(crate) fn request() -> JsonStrategy {
    let message =
        object(vec![("role", one_of(&["system", "user", "assistant", "tool", "x_critic"]))], message_members());
    let named = object(vec![("name", text())], vec![]);
    let choice = prop_oneof![
        one_of(&["none", "auto", "required"]),
        object(vec![("type", one_of(&["function"])), ("function", named)], vec![]),
        object(vec![("type", one_of(&["allowed_tools"]))], vec![]),
    ];
    let json_schema = object(
        vec![("name", text())],
        vec![("schema", schema()), ("strict", scalar::<bool>()), ("description", text())],
    );
    let format = object(vec![("type", one_of(&["text", "json_schema"]))], vec![("json_schema", json_schema)]);
    let options = object(vec![], vec![("include_usage", scalar::<bool>())]);
    let bias = vec(("[0-9]{1,6}", number()), 0..3).prop_map(|mut members| {
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        members.dedup_by(|(one, _), (other, _)| one == other);
        Json::Object(members)
    });
    let metadata = proptest::collection::btree_map(any::<String>(), text(), 0..3)
        .prop_map(|members| Json::Object(members.into_iter().collect()));
    object(
        vec![("model", text()), ("messages", array(message))],
        vec![
            ("stream", scalar::<bool>()),
            ("stream_options", options),
            ("tools", array(tool())),
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
            ("stop", prop_oneof![text(), array(text())].boxed()),
            ("logprobs", scalar::<bool>()),
            ("top_logprobs", scalar::<u32>()),
            ("logit_bias", bias.boxed()),
            ("modalities", array(text())),
            ("reasoning_effort", text()),
            ("service_tier", text()),
            ("user", text()),
            ("metadata", metadata.boxed()),
            ("store", scalar::<bool>()),
        ],
    )
}

fn logprobs() -> JsonStrategy {
    let token = |top: Vec<(&'static str, JsonStrategy)>| {
        let logprob = prop_oneof![4 => number(), 1 => Just(Json::null())].boxed();
        object(vec![("token", text()), ("logprob", logprob)], [vec![("bytes", array(scalar::<u8>()))], top].concat())
    };
    let tokens = array(token(vec![("top_logprobs", array(token(vec![])))]));
    object(vec![], vec![("content", tokens.clone()), ("refusal", tokens)])
}

fn usage() -> JsonStrategy {
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

/// Generates the members that a response and a chunk have in common.
fn envelope(object_type: &'static [&'static str], choices: JsonStrategy) -> JsonStrategy {
    object(
        vec![
            ("id", text()),
            ("object", one_of(object_type)),
            ("created", scalar::<u32>()),
            ("model", text()),
            ("choices", choices),
        ],
        vec![("usage", usage()), ("system_fingerprint", text()), ("service_tier", text())],
    )
}

/// Generates a complete response.
pub(crate) fn response() -> JsonStrategy {
    let message = object(
        vec![("role", one_of(&["assistant"]))],
        [response_message_members(), vec![("reasoning", text())]].concat(),
    );
    let choice = object(
        vec![("index", scalar::<u32>()), ("message", message), ("finish_reason", text())],
        vec![("logprobs", logprobs()), ("stop_reason", anything())],
    );
    envelope(&["chat.completion"], array(choice))
}

/// Generates the data of one event of a stream.
pub(crate) fn chunk() -> JsonStrategy {
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
            ("tool_calls", array(call)),
        ],
    );
    let choice = object(
        vec![("index", scalar::<u32>()), ("delta", delta)],
        vec![("finish_reason", text()), ("logprobs", logprobs())],
    );
    envelope(&["chat.completion.chunk"], array(choice))
}
