//! Round trips JSON → message → JSON.

use openai_dialect::chat::{
    ChunkEvent, ChunkReader, ChunkWriter, MissingUsage, Streaming, read_chunk, read_request, read_response,
    write_chunk, write_request, write_response,
};
use proptest::prelude::*;
use triptych_proto::chat_stream::{DeltaDecoder, DeltaEncoder};

use crate::{
    config,
    json::Json,
    strategies::{chunk, request, response},
};

fn is_null(value: &Json) -> bool {
    *value == Json::null()
}

/// Parses written JSON and sorts its members.
fn parsed(out: Vec<u8>) -> Json {
    Json::parse(&String::from_utf8(out).unwrap()).sorted()
}

/// Applies the conversions of a request: `stream` selects the method and is no field, a single `stop` string becomes an array.
fn normalized_request(mut document: Json) -> Json {
    let streams = document.get_mut("stream").is_some_and(|stream| *stream == Json::Raw("true".to_owned()));
    document.drop_where("stream", |_| !streams);
    document.drop_where("stream_options", |options| !streams || is_null(options));
    if let Some(stop @ Json::Text(_)) = document.get_mut("stop") {
        *stop = Json::Array(vec![stop.clone()]);
    }
    // An empty name is no name.
    if let Some(format @ Json::Object(_)) = document.get_mut("response_format")
        && let Some(schema @ Json::Object(_)) = format.get_mut("json_schema")
    {
        schema.drop_where("name", |name| *name == Json::text(""));
    }
    document.sorted()
}

/// Applies the conversions of a response: adds the members that clients rely on.
fn normalized_response(mut document: Json) -> Json {
    document.drop_where("usage", is_null);
    for choice in document.get_mut("choices").unwrap().items() {
        choice.or_insert("logprobs", Json::null());
        replace_null_logprobs(choice);
        let message = choice.get_mut("message").unwrap();
        message.or_insert("content", Json::null());
        message.or_insert("refusal", Json::null());
        add_reasoning_content(message);
    }
    document.sorted()
}

/// Applies the conversions of a chunk: adds the members that clients rely on.
fn normalized_chunk(mut document: Json) -> Json {
    document.drop_where("usage", is_null);
    for choice in document.get_mut("choices").unwrap().items() {
        choice.or_insert("finish_reason", Json::null());
        choice.or_insert("logprobs", Json::null());
        replace_null_logprobs(choice);
        add_reasoning_content(choice.get_mut("delta").unwrap());
    }
    document.sorted()
}

/// Replaces each `null` log probability by the number that OpenAI uses.
fn replace_null_logprobs(holder: &mut Json) {
    let Json::Object(members) = holder else { return };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("logprob", value) if is_null(value) => *value = Json::Raw("-9999.0".to_owned()),
            ("logprobs", value) => replace_null_logprobs(value),
            ("content" | "refusal" | "top_logprobs", Json::Array(tokens)) => {
                tokens.iter_mut().for_each(replace_null_logprobs);
            }
            _ => {}
        }
    }
}

/// Adds the second name of the reasoning.
fn add_reasoning_content(message: &mut Json) {
    if let Some(Json::Text(reasoning)) = message.get_mut("reasoning").cloned() {
        message.drop_where("reasoning_content", is_null);
        message.or_insert("reasoning_content", Json::Text(reasoning));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn request_keeps_every_member(document in request()) {
        let read = read_request(document.to_string().as_bytes()).unwrap();
        let mut out = Vec::new();
        let streaming = if read.stream { Streaming::Yes(read.stream_options.as_ref()) } else { Streaming::No };
        write_request(&mut out, &read.chat.model, &read.chat, streaming);
        prop_assert_eq!(parsed(out), normalized_request(document));
    }

    #[test]
    fn response_keeps_every_member(document in response()) {
        let read = read_response(document.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.error, None);
        let mut out = Vec::new();
        write_response(&mut out, &read.response);
        prop_assert_eq!(parsed(out), normalized_response(document));
    }

    #[test]
    fn chunk_keeps_every_member(document in chunk()) {
        let read = read_chunk(document.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.error, None);
        let mut out = Vec::new();
        write_chunk(&mut out, &read.response, MissingUsage::Omit);
        prop_assert_eq!(parsed(out), normalized_chunk(document));
    }

    #[test]
    fn stream_reader_and_writer_agree_with_the_functions_for_single_chunks(document in chunk(), texts in proptest::collection::vec("\\PC{0,9}", 1..6)) {
        let (mut reader, mut decoder, mut encoder) =
            (ChunkReader::default(), DeltaDecoder::default(), DeltaEncoder::default());
        let (mut writer, mut other_writer) = (ChunkWriter::new(MissingUsage::Null), ChunkWriter::new(MissingUsage::Null));
        for (text, name) in texts.iter().flat_map(|text| ["content", "reasoning_content"].map(|name| (text, name))) {
            let mut document = document.clone();
            // The document may lack choices or have `null` as its delta.
            if let Some(Json::Array(choices)) = document.get_mut("choices")
                && let Some(choice @ Json::Object(_)) = choices.first_mut()
                && let Some(delta @ Json::Object(_)) = choice.get_mut("delta")
                && let Some(member) = delta.get_mut(name)
            {
                *member = Json::text(text);
            }
            let event = document.to_string();
            let ChunkEvent::Chunk(chunk) = reader.read(event.as_bytes()).unwrap() else { panic!("error in {event}") };
            let response = read_chunk(event.as_bytes()).unwrap().response;
            prop_assert_eq!(&decoder.decode(chunk.clone()), &response);
            let (mut expected, mut out, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
            write_chunk(&mut expected, &response, MissingUsage::Null);
            writer.write(&mut out, chunk);
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
            other_writer.write(&mut encoded, encoder.encode(response));
            prop_assert_eq!(String::from_utf8_lossy(&encoded), String::from_utf8_lossy(&expected));
        }
    }

    #[test]
    fn numbers_keep_their_value_in_any_notation(integer in 0_u32..1_000_000, shift in 0_usize..4) {
        let zeros = "0".repeat(shift);
        let text = format!(r#"{{"messages":[],"n":{integer}.{zeros}0,"temperature":{integer}{zeros}e-{shift},"seed":-{integer}e0}}"#);
        let read = read_request(text.as_bytes()).unwrap().chat;
        prop_assert_eq!(read.n, Some(integer));
        prop_assert_eq!(read.temperature, Some(f64::from(integer)));
        prop_assert_eq!(read.seed, Some(-i64::from(integer)));
    }

    #[test]
    fn arbitrary_input_does_not_panic(text in ".{0,200}", bytes in any::<Vec<u8>>()) {
        for bytes in [text.as_bytes(), &bytes] {
            let _ = (read_request(bytes), read_response(bytes), read_chunk(bytes));
        }
    }
}
