//! The pieces of a stream are read and written as they are one by one, whatever was remembered of those before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_dialect::chat::{ChunkReader, ChunkWriter, read_chunk, write_chunk};

// One piece a line.
fuzz_target!(|pieces: &[u8]| {
    let (mut reader, mut writer) = (ChunkReader::default(), ChunkWriter::new(false));
    for piece in pieces.split(|byte| *byte == b'\n') {
        let read = reader.read(piece);
        assert_eq!(read, read_chunk(piece));
        let Ok(chunk) = read else { continue };
        let (mut alone, mut out) = (Vec::new(), Vec::new());
        write_chunk(&mut alone, &chunk.response, false);
        writer.write(&mut out, chunk.response);
        assert_eq!(out, alone);
    }
});
