//! An event stream reads the same in one piece and torn anywhere, and never panics.
#![no_main]

use core_service::upstream::fuzzing::events;
use libfuzzer_sys::fuzz_target;

// The first byte says how long the packets are.
fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    let whole = events(stream, usize::MAX);
    assert_eq!(whole, events(stream, usize::from(*size).max(1)));
    assert_eq!(whole, events(stream, 1));
});
