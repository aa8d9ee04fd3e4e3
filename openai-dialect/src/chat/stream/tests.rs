use triptych_proto::chat_stream::{Fold, Piece, Unfold};

use super::*;
use crate::chat::chunk::{Chunk, read_chunk, write_chunk};

fn event(content: &str) -> String {
    format!(
        r#"{{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{{"content":{content}}},"finish_reason":null,"logprobs":null}}]}}"#
    )
}

/// Reads and writes these events with and without a memory, folded by the reader and folded from whole messages. All must
/// agree on each of them.
fn compare(events: &[String]) -> ChunkReader {
    let (mut reader, mut unfold, mut fold) = (ChunkReader::default(), Unfold::default(), Fold::default());
    let mut writers = [ChunkWriter::new(false), ChunkWriter::new(false)];
    for event in events {
        let plain = read_chunk(event.as_bytes());
        match (reader.read(event.as_bytes()), plain) {
            (Ok(ChunkEvent::Piece(piece)), Ok(Chunk { response, error: None })) => {
                assert_eq!(unfold.unfold(piece.clone()), response, "{event}");
                let mut plain = Vec::new();
                write_chunk(&mut plain, &response, false);
                for (writer, piece) in writers.iter_mut().zip([piece, fold.fold(response)]) {
                    let mut out = Vec::new();
                    writer.write(&mut out, piece);
                    assert_eq!(String::from_utf8(out).unwrap(), str::from_utf8(&plain).unwrap(), "{event}");
                }
            }
            (Ok(ChunkEvent::Error(error)), Ok(plain)) => assert_eq!(Some(error), plain.error),
            (Err(error), plain) => assert_eq!(Err(error), plain),
            (read, plain) => panic!("{event}: {read:?} with a memory, {plain:?} without"),
        }
    }
    reader
}

#[test]
fn a_text_of_any_kind_is_read_and_written_as_without_a_memory() {
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
        r#""\ud800""#,
        r#""","role":"x""#,
        "7",
        r#""probe""#,
        r#""}]}""#,
    ];
    compare(&texts.map(event));
    let mut torn = event(r#""a""#).into_bytes();
    let mut reader = ChunkReader::default();
    reader.read(&torn).unwrap();
    let at = torn.windows(3).position(|part| part == br#""a""#).unwrap();
    torn[at + 1] = 0xff;
    assert_eq!(reader.read(&torn).unwrap_err(), read_chunk(&torn).unwrap_err());
}

#[test]
fn a_piece_that_repeats_is_its_text_only_behind_one_it_repeats() {
    let other = event(r#""b""#).replace("c-1", "c-2");
    let events = [event(r#""a""#), event(r#""b""#), other, event(r#""c""#), event(r#""d""#)];
    compare(&events);
    let mut reader = ChunkReader::default();
    let folded = |data: &String| matches!(reader.read(data.as_bytes()), Ok(ChunkEvent::Piece(Piece::Text(_))));
    assert_eq!(events.iter().map(folded).collect::<Vec<_>>(), [false, true, false, false, true]);
}

#[test]
fn a_name_that_stands_elsewhere_as_well_does_not_mislead() {
    let odd = |text: &str| {
        format!(
            r#"{{"x":{{"content":"a"}},"choices":[{{"content":"a","delta":{{"content":"{text}"}},"index":0}}],"content":"a"}}"#
        )
    };
    assert!(compare(&["a", "b", "a"].map(odd)).has_learned());
    let twice = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":"{text}","content":"last"}}}}]}}"#);
    compare(&["a", "b", "last"].map(twice));
}

#[test]
fn reasoning_is_remembered_in_one_of_its_spellings_and_read_in_all() {
    let piece = |name: &str, text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"{name}":"{text}"}}}}]}}"#);
    assert!(compare(&["a", "b", "", "c"].map(|text| piece("reasoning_content", text))).has_learned());
    compare(&["a", "b", "", "c"].map(|text| piece("reasoning", text)));
    compare(&["a", "b", "c"].map(|text| piece("reasoning_content\":\"b\",\"reasoning", text)));
}

#[test]
fn what_never_repeats_is_soon_no_longer_learned() {
    let events: Vec<_> = (0..100).map(|n| event(r#""a""#).replace(":7,", &format!(":{n},"))).collect();
    assert!(!compare(&events).learns());
}
