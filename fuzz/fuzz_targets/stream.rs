//! Checks the fast path for streamed chat responses, which reads and writes only the text that changes from chunk to chunk: it
//! must give the same result as reading and writing each chunk alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_dialect::chat::{ChunkEvent, ChunkReader, ChunkWriter, MissingUsage, read_chunk, write_chunk};
use triptych_proto::chat_stream::{DeltaDecoder, DeltaEncoder};

// Each line of the input is one chunk.
fuzz_target!(|chunks: &[u8]| {
    // Halves of a surrogate pair in two chunks are joined, so that a chunk no longer equals what is read of it alone.
    if chunks.windows(3).any(|escape| escape.eq_ignore_ascii_case(b"\\ud")) {
        return;
    }
    let (mut reader, mut decoder, mut encoder) =
        (ChunkReader::default(), DeltaDecoder::default(), DeltaEncoder::default());
    let (mut writer, mut other_writer) = (ChunkWriter::new(MissingUsage::Omit), ChunkWriter::new(MissingUsage::Omit));
    for chunk in chunks.split(|byte| *byte == b'\n') {
        let (read, alone) = (reader.read(chunk), read_chunk(chunk));
        let Ok(ChunkEvent::Chunk(delta)) = read else {
            assert!(alone.is_err() || alone.is_ok_and(|alone| alone.error.is_some()));
            continue;
        };
        let alone = alone.unwrap();
        assert_eq!(alone.error, None);
        let alone = alone.response;
        assert_eq!(decoder.decode(delta.clone()), alone);
        let (mut plain, mut out, mut other) = (Vec::new(), Vec::new(), Vec::new());
        write_chunk(&mut plain, &alone, MissingUsage::Omit);
        writer.write(&mut out, delta);
        other_writer.write(&mut other, encoder.encode(alone));
        assert_eq!(out, plain);
        assert_eq!(other, plain);
    }
});
