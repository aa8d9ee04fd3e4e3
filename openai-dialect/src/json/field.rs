//! [`Field`], the destination of a member's value. Fields are read like this rather than with serde alone, because a
//! value that has no place in its field must not be lost.

use serde::de::MapAccess;

use super::mode::Mode;

/// The JSON text of a value that a field cannot represent: `null`, `[]` or `{}`.
pub(crate) type Unrepresented = Option<&'static str>;

/// A field of a protobuf message that receives the value of a member.
pub(crate) trait Field {
    /// Reads the next value of `map` into the field.
    ///
    /// If the field cannot represent the value, it stays unchanged and the value is returned.
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error>;
}
