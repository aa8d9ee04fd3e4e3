//! The index of a choice in a response. Some upstreams send one that is no number; the position of the choice takes its
//! place.

use serde::de::MapAccess;

use crate::json::{mode::Mode, object::Member};

/// Marks a choice that was received with an unusable index, until [`number_choices`] replaces it.
const UNUSABLE: u32 = u32::MAX;

/// Reads `index`. An unusable one is replaced by [`number_choices`].
pub(super) fn read_index<'de, A: MapAccess<'de>>(member: Member<'_, 'de, A>, index: &mut u32) -> Result<(), A::Error> {
    // In strict mode, an unusable index fails the document, which is then read in lenient mode.
    if member.mode() == Mode::Lenient {
        *index = UNUSABLE;
    }
    member.read_or_skip(index)
}

/// Replaces unusable indexes by the position of the choice.
pub(super) fn number_choices<'a>(indexes: impl Iterator<Item = &'a mut u32>) {
    for (position, index) in (0..).zip(indexes) {
        if *index == UNUSABLE {
            *index = position;
        }
    }
}
