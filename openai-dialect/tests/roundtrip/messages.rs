//! Round trips message → JSON → message.

use openai_dialect::chat::{
    MissingUsage, Request, Streaming, read_chunk, read_request, read_response, write_chunk, write_request,
    write_response,
};
use proptest::{collection::vec, option, prelude::*, sample};
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part, tool_choice::Choice};

use crate::{
    config,
    json::{Json, vendor_members},
    strategies,
};

/// Generates an `extra_json`.
fn extra() -> impl Strategy<Value = String> {
    vendor_members().prop_map(|members| {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap())).collect();
        if members.is_empty() { String::new() } else { format!("{{{}}}", members.join(",")) }
    })
}

fn optional_text() -> impl Strategy<Value = Option<String>> {
    option::of(any::<String>())
}

fn part() -> impl Strategy<Value = pb::ContentPart> {
    let image = (any::<String>(), optional_text(), extra())
        .prop_map(|(url, detail, extra_json)| Part::ImageUrl(pb::ImagePart { url, detail, extra_json }));
    let audio = (any::<String>(), any::<String>(), extra())
        .prop_map(|(data, format, extra_json)| Part::InputAudio(pb::AudioPart { data, format, extra_json }));
    let file = (optional_text(), optional_text(), optional_text(), optional_text(), extra()).prop_map(
        |(file_data, file_id, filename, file_url, extra_json)| {
            Part::File(pb::FilePart { file_data, file_id, filename, file_url, extra_json })
        },
    );
    let typed =
        prop_oneof![any::<String>().prop_map(Part::Text), any::<String>().prop_map(Part::Refusal), image, audio, file];
    let other = extra().prop_map(|extra| {
        let members = extra.strip_prefix('{').map_or("}".to_owned(), |rest| format!(",{rest}"));
        Part::OtherJson(format!(r#"{{"type":"x_sense"{members}"#))
    });
    // `other_json` is the complete part; request validation rejects an `extra_json` beside it.
    prop_oneof![
        4 => (typed, extra()).prop_map(|(part, extra_json)| pb::ContentPart { part: Some(part), extra_json }),
        1 => other.prop_map(|part| pb::ContentPart { part: Some(part), extra_json: String::new() }),
    ]
}

fn tool_call() -> impl Strategy<Value = pb::ToolCall> {
    let function = (any::<String>(), any::<String>(), extra())
        .prop_map(|(name, arguments, extra_json)| pb::FunctionCall { name, arguments, extra_json });
    (any::<String>(), "[a-z]{1,8}", option::of(function), extra())
        .prop_map(|(id, r#type, function, extra_json)| pb::ToolCall { id, r#type, function, extra_json })
}

fn message() -> impl Strategy<Value = pb::ChatMessage> {
    let content = prop_oneof![
        any::<String>().prop_map(Content::Text),
        vec(part(), 0..3).prop_map(|parts| Content::Parts(pb::ContentParts { parts })),
    ];
    let calls = vec(tool_call(), 0..3);
    (
        "[a-z]{1,9}",
        option::of(content),
        optional_text(),
        calls,
        optional_text(),
        optional_text(),
        optional_text(),
        extra(),
    )
        .prop_map(|(role, content, name, tool_calls, tool_call_id, refusal, reasoning_content, extra_json)| {
            pb::ChatMessage { role, content, name, tool_calls, tool_call_id, refusal, reasoning_content, extra_json }
        })
}

fn choice() -> impl Strategy<Value = pb::ToolChoice> {
    prop_oneof![
        any::<String>().prop_map(Choice::Mode),
        any::<String>().prop_map(Choice::FunctionName),
        Just(Choice::OtherJson(r#"{"type":"allowed_tools","n":1E400}"#.to_owned())),
    ]
    .prop_map(|choice| pb::ToolChoice { choice: Some(choice) })
}

/// Generates messages by parsing generated documents, so that every field is used.
fn read<T: std::fmt::Debug>(document: BoxedStrategy<Json>, read: impl Fn(&[u8]) -> T + 'static) -> BoxedStrategy<T> {
    document.prop_map(move |document| read(document.to_string().as_bytes())).boxed()
}

fn request() -> impl Strategy<Value = Request> {
    let base = read(strategies::request(), |text| read_request(text).unwrap());
    let members = (vec(message(), 0..3), option::of(choice()), any::<bool>(), extra());
    (base, members).prop_map(|(mut request, (messages, tool_choice, stream, extra_json))| {
        request.chat.messages = messages;
        if tool_choice.is_some() {
            request.chat.tool_choice = tool_choice;
            // The `extra_json` that was read may contain `"tool_choice": null`, beside which the member would be written twice.
            request.chat.extra_json = extra_json;
        }
        request.stream = stream;
        if !stream {
            request.stream_options = None;
        }
        request
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn request_is_unchanged_after_the_round_trip(request in request()) {
        let mut out = Vec::new();
        let streaming = if request.stream { Streaming::Yes(request.stream_options.as_ref()) } else { Streaming::No };
        write_request(&mut out, &request.chat.model, &request.chat, streaming);
        prop_assert_eq!(read_request(&out).unwrap(), request);
    }

    #[test]
    fn response_is_unchanged_after_the_round_trip(
        base in read(strategies::response(), |text| read_response(text).unwrap()),
        message in message(),
    ) {
        let mut response = base.response;
        if let Some(choice) = response.choices.first_mut() {
            // The texts of parts are joined.
            let content = message.content.clone().filter(|content| matches!(content, Content::Text(_)));
            choice.message = Some(pb::ChatMessage { content, ..message });
        }
        let mut out = Vec::new();
        write_response(&mut out, &response);
        prop_assert_eq!(read_response(&out).unwrap().response, response);
    }

    #[test]
    fn chunk_is_unchanged_after_the_round_trip(
        chunk in read(strategies::chunk(), |text| read_chunk(text).unwrap()),
        missing_usage in sample::select(vec![MissingUsage::Omit, MissingUsage::Null]),
    ) {
        let mut out = Vec::new();
        write_chunk(&mut out, &chunk.response, missing_usage);
        prop_assert_eq!(read_chunk(&out).unwrap(), chunk);
    }
}
