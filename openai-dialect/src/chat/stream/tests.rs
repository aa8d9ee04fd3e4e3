//! Tests that the optimized reader and writer of a stream agree with the functions that read and write single chunks.

use triptych_proto::chat_stream::{ChatChunk, DeltaDecoder, DeltaEncoder};

use super::*;
use crate::chat::chunk::{MissingUsage, UpstreamChunk, read_chunk, write_chunk};

/// Returns a chunk whose `content` is this JSON.
fn event(content: &str) -> String {
    format!(
        r#"{{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{{"content":{content}}},"finish_reason":null,"logprobs":null}}]}}"#
    )
}

/// Asserts that `ChunkReader` and `ChunkWriter` agree with `read_chunk` and `write_chunk` on each event, for chunks encoded
/// by the reader and for chunks encoded by `DeltaEncoder`. Returns the reader.
fn assert_same_result(events: &[String]) -> ChunkReader {
    let (mut reader, mut decoder, mut encoder) =
        (ChunkReader::default(), DeltaDecoder::default(), DeltaEncoder::default());
    let mut writers = [ChunkWriter::new(MissingUsage::Omit), ChunkWriter::new(MissingUsage::Omit)];
    for event in events {
        let expected = read_chunk(event.as_bytes());
        match (reader.read(event.as_bytes()), expected) {
            (Ok(ChunkEvent::Chunk(chunk)), Ok(UpstreamChunk { response, error: None })) => {
                assert_eq!(decoder.decode(chunk.clone()), response, "{event}");
                let mut expected = Vec::new();
                write_chunk(&mut expected, &response, MissingUsage::Omit);
                for (writer, chunk) in writers.iter_mut().zip([chunk, encoder.encode(response)]) {
                    let mut out = Vec::new();
                    writer.write(&mut out, chunk);
                    assert_eq!(String::from_utf8(out).unwrap(), str::from_utf8(&expected).unwrap(), "{event}");
                }
            }
            (Ok(ChunkEvent::Error(error)), Ok(expected)) => assert_eq!(Some(error), expected.error),
            (Err(error), expected) => assert_eq!(Err(error), expected),
            (read, expected) => panic!("{event}: read {read:?}, expected {expected:?}"),
        }
    }
    reader
}

#[test]
fn texts_of_any_kind_are_read_and_written_as_by_read_chunk_and_write_chunk() {
    let texts = [
        r#""a""#,
        r#"" b""#,
        r#""\n\"\\\u00e9\ud83d\ude00""#,
        r#""é世""#,
        r#""""#,
        "null",
        r#""\x""#,
        r#""a"b""#,
        "\"\u{1}\"",
        r#""","role":"x""#,
        "7",
        r#""probe""#,
        r#""}]}""#,
    ];
    assert_same_result(&texts.map(event));
    let mut invalid = event(r#""a""#).into_bytes();
    let mut reader = ChunkReader::default();
    reader.read(&invalid).unwrap();
    let at = invalid.windows(3).position(|part| part == br#""a""#).unwrap();
    invalid[at + 1] = 0xff;
    let expected = read_chunk(&invalid).unwrap().response;
    assert_eq!(reader.read(&invalid), Ok(ChunkEvent::Chunk(expected.into())));
}

#[test]
fn chunk_that_differs_from_its_predecessor_only_in_the_text_is_read_as_text() {
    let other = event(r#""b""#).replace("c-1", "c-2");
    let events = [event(r#""a""#), event(r#""b""#), other, event(r#""c""#), event(r#""d""#)];
    assert_same_result(&events);
    let mut reader = ChunkReader::default();
    let is_text = |data: &String| matches!(reader.read(data.as_bytes()), Ok(ChunkEvent::Chunk(ChatChunk::Text(_))));
    assert_eq!(events.iter().map(is_text).collect::<Vec<_>>(), [false, true, false, false, true]);
}

#[test]
fn field_name_in_other_places_of_the_event_is_not_mistaken_for_the_field() {
    let ambiguous = |text: &str| {
        format!(
            r#"{{"x":{{"content":"a"}},"choices":[{{"content":"a","delta":{{"content":"{text}"}},"index":0}}],"content":"a"}}"#
        )
    };
    assert!(assert_same_result(&["a", "b", "a"].map(ambiguous)).has_template());
    let duplicate = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":"{text}","content":"last"}}}}]}}"#);
    assert_same_result(&["a", "b", "last"].map(duplicate));
}

#[test]
fn reasoning_content_has_a_template_and_other_names_of_reasoning_are_read_without_one() {
    let event = |name: &str, text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"{name}":"{text}"}}}}]}}"#);
    assert!(assert_same_result(&["a", "b", "", "c"].map(|text| event("reasoning_content", text))).has_template());
    assert_same_result(&["a", "b", "", "c"].map(|text| event("reasoning", text)));
    assert_same_result(&["a", "b", "c"].map(|text| event("reasoning_content\":\"b\",\"reasoning", text)));
}

#[test]
fn stream_of_distinct_chunks_exhausts_the_learning_budget() {
    // 7 is the time of creation, in which the chunks differ.
    let events: Vec<_> = (0..100).map(|n| event(r#""a""#).replace(":7,", &format!(":{n},"))).collect();
    assert!(!assert_same_result(&events).has_budget());
}

#[test]
fn characters_cut_between_chunks_are_joined() {
    let (mut reader, mut decoder) = (ChunkReader::default(), DeltaDecoder::default());
    let of_choice = |index: u32, text: &str| event(text).replace(r#""index":0"#, &format!(r#""index":{index}"#));
    let last = event("null").replace(r#""finish_reason":null"#, r#""finish_reason":"stop""#);
    let events = [
        event(r#""a""#),
        event(r#""b""#),
        event(r#""Hi \ud83d""#),
        of_choice(1, r#""other""#),
        event(r#""\ude00 there""#),
        event(r#""c""#),
        event(r#""lost \ud83d""#),
        event(r#""d""#),
        event(r#""\ude00e""#),
        event(r#""end \ud83d""#),
        last,
    ];
    let texts = events.map(|event| {
        let Ok(ChunkEvent::Chunk(chunk)) = reader.read(event.as_bytes()) else { panic!("{event}") };
        decoder.decode(chunk).choices[0].delta.clone().unwrap().content.unwrap_or_default()
    });
    let expected =
        ["a", "b", "Hi ", "other", "\u{1f600} there", "c", "lost ", "\u{fffd}d", "\u{fffd}e", "end ", "\u{fffd}"];
    assert_eq!(texts, expected);
}

#[test]
fn cut_character_is_joined_in_spite_of_an_empty_finish_reason() {
    let mut decoder = DeltaDecoder::default();
    let mut reader = ChunkReader::default();
    let texts = [r#""a\ud83d""#, r#""\ude00""#].map(|text| {
        let event = event(text).replace(r#""finish_reason":null"#, r#""finish_reason":"""#);
        let Ok(ChunkEvent::Chunk(chunk)) = reader.read(event.as_bytes()) else { panic!("{event}") };
        decoder.decode(chunk).choices[0].delta.clone().unwrap().content.unwrap_or_default()
    });
    assert_eq!(texts, ["a", "\u{1f600}"]);
}

#[test]
fn arguments_cut_between_chunks_are_joined() {
    let mut reader = ChunkReader::default();
    let texts = [r#""{\ud83d""#, r#""\ude00}""#].map(|arguments| {
        let event = format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":{arguments}}}}}]}}}}]}}"#
        );
        let Ok(ChunkEvent::Chunk(ChatChunk::Full(chunk))) = reader.read(event.as_bytes()) else { panic!("{event}") };
        let call = chunk.choices[0].delta.as_ref().unwrap().tool_calls[0].clone();
        call.function.unwrap().arguments.unwrap()
    });
    assert_eq!(texts, ["{", "\u{1f600}}"]);
}
