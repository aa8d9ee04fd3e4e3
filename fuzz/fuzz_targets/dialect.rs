//! Checks that every chat request, response and chunk in OpenAI's JSON that can be read is written as JSON that can be read
//! again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_dialect::chat::{
    ToolCallIndexer, Streaming, read_chunk, read_response, read_request, write_chunk, write_response, write_request,
};

fuzz_target!(|text: &[u8]| {
    if let Ok(request) = read_request(text) {
        let mut out = Vec::new();
        let streaming = if request.stream { Streaming::Yes(request.stream_options.as_ref()) } else { Streaming::No };
        write_request(&mut out, &request.chat.model, &request.chat, streaming);
        read_request(&out).expect("written JSON can be read");
    }
    if let Ok(reply) = read_response(text) {
        let mut out = Vec::new();
        write_response(&mut out, &reply.response);
        read_response(&out).expect("written JSON can be read");
    }
    if let Ok(mut chunk) = read_chunk(text) {
        let mut out = Vec::new();
        // Some upstreams omit the indexes of tool calls, which written chunks must have.
        ToolCallIndexer::default().assign(&mut chunk.response);
        write_chunk(&mut out, &chunk.response, true);
        read_chunk(&out).expect("written JSON can be read");
    }
});
