//! An event stream reads the same in one piece and torn anywhere, and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_dialect::sse::{Event, EventReader};

/// All events of a stream that arrives in packets of this many bytes, up to the failure that ends it.
fn events(stream: &[u8], packet: usize) -> Vec<Result<Vec<u8>, Vec<u8>>> {
    let own = |event: Event<'_>| match event {
        Event::Data(data) => Ok(data.to_vec()),
        Event::Error(error) => Err(error.to_vec()),
    };
    let (mut reader, mut events) = (EventReader::default(), Vec::new());
    for packet in stream.chunks(packet) {
        reader.push(packet);
        loop {
            match reader.next_event() {
                Ok(Some(event)) => events.push(own(event)),
                Ok(None) => break,
                Err(_) => return events,
            }
        }
    }
    if let Ok(Some(event)) = reader.finish() {
        events.push(own(event));
    }
    events
}

// The first byte says how long the packets are.
fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    let whole = events(stream, stream.len().max(1));
    assert_eq!(whole, events(stream, usize::from(*size).max(1)));
    assert_eq!(whole, events(stream, 1));
});
