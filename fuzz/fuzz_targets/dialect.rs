//! Checks round trips of OpenAI's JSON: a chat request, response or chunk that parses is written as JSON that parses again. The
//! items of an accepted Responses API request parse again too, and so does the chat request that is made from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_dialect::{
    chat::{
        MissingUsage, Streaming, ToolCallIndexer, read_chunk, read_request, read_response, write_chunk, write_request,
        write_response,
    },
    responses::{Item, ResponseRequest},
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
        write_chunk(&mut out, &chunk.response, MissingUsage::Null);
        read_chunk(&out).expect("written JSON can be read");
    }
    if let Some(request) = str::from_utf8(text).ok().and_then(|text| ResponseRequest::parse(text).ok()) {
        // Without items of earlier responses to continue or refer to.
        let items = request.input_items("resp_00", &[], &[]);
        for item in &items {
            assert_eq!(Item::from_json(item.to_json()).as_ref(), Some(item));
        }
        // The items of the request, as those of an earlier response and as those that it refers to.
        if let Ok(chat) = request.to_chat(&items, &items) {
            let mut out = Vec::new();
            write_request(&mut out, "m", &chat, Streaming::No);
            read_request(&out).expect("written JSON can be read");
        }
    }
});
