//! Whatever a conversion reads, it writes as JSON, and reads from there as what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_dialect::chat::{
    Streaming, ToolCallIndexer, read_chunk, read_request, read_response, write_chunk, write_request, write_response,
};

fuzz_target!(|text: &[u8]| {
    if let Ok(request) = read_request(text) {
        let mut out = Vec::new();
        let streaming = if request.stream { Streaming::Yes(request.stream_options.as_ref()) } else { Streaming::No };
        write_request(&mut out, &request.chat.model, &request.chat, streaming);
        read_request(&out).expect("what was written can be read");
    }
    if let Ok(reply) = read_response(text) {
        let mut out = Vec::new();
        write_response(&mut out, &reply.response);
        read_response(&out).expect("what was written can be read");
    }
    if let Ok(mut chunk) = read_chunk(text) {
        let mut out = Vec::new();
        ToolCallIndexer::default().assign(&mut chunk.response);
        write_chunk(&mut out, &chunk.response, true);
        read_chunk(&out).expect("what was written can be read");
    }
});
