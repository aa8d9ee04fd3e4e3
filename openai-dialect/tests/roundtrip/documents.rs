//! JSON → contract → JSON.

use openai_dialect::chat::{
    ChunkEvent, ChunkReader, ChunkWriter, Streaming, read_chunk, read_reply, read_request, write_chunk, write_reply,
    write_request,
};
use proptest::prelude::*;
use triptych_proto::chat_stream::{Fold, Unfold};

use crate::{
    config,
    json::Json,
    shapes::{chunk, reply, request},
};

fn is_null(value: &Json) -> bool {
    *value == Json::null()
}

fn parsed(out: Vec<u8>) -> Json {
    Json::parse(&String::from_utf8(out).unwrap()).sorted()
}

/// What stands for the same in a request: which call is made stands for `stream`, and one text to stop at for a list.
fn normal_request(mut document: Json) -> Json {
    let streams = document.get_mut("stream").is_some_and(|stream| *stream == Json::Raw("true".to_owned()));
    document.drop_where("stream", |_| !streams);
    document.drop_where("stream_options", |options| !streams || is_null(options));
    if let Some(stop @ Json::Text(_)) = document.get_mut("stop") {
        *stop = Json::List(vec![stop.clone()]);
    }
    document.sorted()
}

/// What every client expects of a reply, whether the upstream says it or not.
fn normal_reply(mut document: Json) -> Json {
    document.drop_where("usage", is_null);
    for choice in document.get_mut("choices").unwrap().items() {
        choice.or_insert("logprobs", Json::null());
        all_told(choice);
        let message = choice.get_mut("message").unwrap();
        message.or_insert("content", Json::null());
        message.or_insert("refusal", Json::null());
        both_spellings(message);
    }
    document.sorted()
}

fn normal_chunk(mut document: Json) -> Json {
    document.drop_where("usage", is_null);
    for choice in document.get_mut("choices").unwrap().items() {
        choice.or_insert("finish_reason", Json::null());
        choice.or_insert("logprobs", Json::null());
        all_told(choice);
        both_spellings(choice.get_mut("delta").unwrap());
    }
    document.sorted()
}

/// A probability that is not told is a number as well.
fn all_told(holder: &mut Json) {
    let Json::Object(members) = holder else { return };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("logprob", value) if is_null(value) => *value = Json::Raw("-9999.0".to_owned()),
            ("logprobs", value) => all_told(value),
            ("content" | "refusal" | "top_logprobs", Json::List(tokens)) => tokens.iter_mut().for_each(all_told),
            _ => {}
        }
    }
}

/// Reasoning that came under one name is told under both.
fn both_spellings(message: &mut Json) {
    if let Some(Json::Text(reasoning)) = message.get_mut("reasoning").cloned() {
        message.drop_where("reasoning_content", is_null);
        message.or_insert("reasoning_content", Json::Text(reasoning));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_request_keeps_every_member(document in request()) {
        let read = read_request(document.to_string().as_bytes()).unwrap();
        let mut out = Vec::new();
        let streaming = if read.stream { Streaming::Yes(read.stream_options.as_ref()) } else { Streaming::No };
        write_request(&mut out, &read.chat.model, &read.chat, streaming);
        prop_assert_eq!(parsed(out), normal_request(document));
    }

    #[test]
    fn a_reply_keeps_every_member(document in reply()) {
        let read = read_reply(document.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.error, None);
        let mut out = Vec::new();
        write_reply(&mut out, &read.response);
        prop_assert_eq!(parsed(out), normal_reply(document));
    }

    #[test]
    fn a_chunk_keeps_every_member(document in chunk()) {
        let read = read_chunk(document.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.error, None);
        let mut out = Vec::new();
        write_chunk(&mut out, &read.response, false);
        prop_assert_eq!(parsed(out), normal_chunk(document));
    }

    #[test]
    fn a_stream_is_read_and_written_as_its_pieces_are(document in chunk(), texts in proptest::collection::vec("\\PC{0,9}", 1..6)) {
        let (mut reader, mut unfold, mut fold) = (ChunkReader::default(), Unfold::default(), Fold::default());
        let (mut writer, mut other_writer) = (ChunkWriter::new(true), ChunkWriter::new(true));
        for (text, name) in texts.iter().flat_map(|text| ["content", "reasoning_content"].map(|name| (text, name))) {
            let mut document = document.clone();
            // A choice that is streamed is an object, and so is its delta, where the document has them at all.
            if let Some(Json::List(choices)) = document.get_mut("choices")
                && let Some(choice @ Json::Object(_)) = choices.first_mut()
                && let Some(delta @ Json::Object(_)) = choice.get_mut("delta")
                && let Some(place) = delta.get_mut(name)
            {
                *place = Json::text(text);
            }
            let event = document.to_string();
            let ChunkEvent::Piece(piece) = reader.read(event.as_bytes()).unwrap() else { panic!("an error in {event}") };
            let alone = read_chunk(event.as_bytes()).unwrap().response;
            prop_assert_eq!(&unfold.unfold(piece.clone()), &alone);
            let (mut plain, mut out, mut folded) = (Vec::new(), Vec::new(), Vec::new());
            write_chunk(&mut plain, &alone, true);
            writer.write(&mut out, piece);
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&plain));
            other_writer.write(&mut folded, fold.fold(alone));
            prop_assert_eq!(String::from_utf8_lossy(&folded), String::from_utf8_lossy(&plain));
        }
    }

    #[test]
    fn typed_numbers_keep_their_value_however_they_are_spelled(whole in 0_u32..1_000_000, shift in 0_usize..4) {
        let zeros = "0".repeat(shift);
        let text = format!(r#"{{"messages":[],"n":{whole}.{zeros}0,"temperature":{whole}{zeros}e-{shift},"seed":-{whole}e0}}"#);
        let read = read_request(text.as_bytes()).unwrap().chat;
        prop_assert_eq!(read.n, Some(whole));
        prop_assert_eq!(read.temperature, Some(f64::from(whole)));
        prop_assert_eq!(read.seed, Some(-i64::from(whole)));
    }

    #[test]
    fn no_text_at_all_makes_the_readers_panic(text in ".{0,200}", bytes in any::<Vec<u8>>()) {
        for bytes in [text.as_bytes(), &bytes] {
            let _ = (read_request(bytes), read_reply(bytes), read_chunk(bytes));
        }
    }
}
