//! What the fuzzer may see of the event-stream reader. No part of the API.

use super::{Event, EventReader, TooLong};

/// All events of a stream that arrives in packets of this length, and whether it ended in something too long. Events
/// that are failures begin with `error `.
pub fn events(stream: &[u8], packet: usize) -> (Vec<Vec<u8>>, bool) {
    let mut events = Vec::new();
    let outcome = read(stream, packet, &mut events);
    (events, outcome.is_err())
}

fn read(stream: &[u8], packet: usize, events: &mut Vec<Vec<u8>>) -> Result<(), TooLong> {
    let mut note = |event: Event<'_>| {
        events.push(match event {
            Event::Data(data) => data.to_vec(),
            Event::Error(error) => [b"error ", error].concat(),
        });
    };
    let mut reader = EventReader::default();
    for bytes in stream.chunks(packet) {
        reader.push(bytes);
        while let Some(event) = reader.next()? {
            note(event);
        }
    }
    if let Some(event) = reader.last()? {
        note(event);
    }
    Ok(())
}
