//! Checks that a stream of server-sent events gives the same events however it is split into packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_dialect::sse::{Event, EventReader};

/// Returns the events of a stream that arrives in packets of this many bytes, up to the first error.
fn events(stream: &[u8], packet: usize) -> Vec<Result<Vec<u8>, Vec<u8>>> {
    let copy = |event: Event<'_>| match event {
        Event::Data(data) => Ok(data.to_vec()),
        Event::Error(error) => Err(error.to_vec()),
    };
    let (mut reader, mut events) = (EventReader::default(), Vec::new());
    for packet in stream.chunks(packet) {
        reader.push(packet);
        loop {
            match reader.next_event() {
                Ok(Some(event)) => events.push(copy(event)),
                Ok(None) => break,
                Err(_) => return events,
            }
        }
    }
    if let Ok(Some(event)) = reader.finish() {
        events.push(copy(event));
    }
    events
}

// The first byte of the input is the length of the packets.
fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    let whole = events(stream, stream.len().max(1));
    assert_eq!(whole, events(stream, usize::from(*size).max(1)));
    assert_eq!(whole, events(stream, 1));
});
