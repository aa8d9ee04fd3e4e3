//! [`Field`], the destination of a member's value. Fields are read like this rather than with serde alone, because a
//! value that has no place in its field must not be lost.

use serde::de::MapAccess;

use super::mode::Mode;

/// A field of a contract message that receives the value of a member.
pub(crate) trait Field {
    /// Reads the next value of `map` into the field.
    ///
    /// If the field cannot represent the value (`null`, `[]`, `{}`), it stays unchanged and the value's JSON text is
    /// returned.
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Option<&'static str>, A::Error>;
}
