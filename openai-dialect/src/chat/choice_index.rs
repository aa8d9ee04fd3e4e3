//! The index of a choice.

use serde::de::MapAccess;

use crate::json::{mode::Mode, object::Member};

/// The index of a choice that was received with an unusable one.
const UNUSABLE: u32 = u32::MAX;

/// Reads `index`. An unusable one is replaced by [`number_choices`].
pub(super) fn read_index<'de, A: MapAccess<'de>>(member: Member<'_, 'de, A>, index: &mut u32) -> Result<(), A::Error> {
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
