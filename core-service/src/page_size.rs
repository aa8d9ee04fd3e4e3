//! The page size of lists.

use crate::error::Error;

/// The page size if the request has none.
const DEFAULT: u32 = 20;
/// The largest page size.
const MAX: u32 = 100;

/// Validates the field `page_size`, and returns the default if there is none.
///
/// # Errors
/// [`Error::InvalidField`] for 0, and above 100.
pub(crate) fn validate(size: Option<u32>) -> Result<u32, Error> {
    let size = size.unwrap_or(DEFAULT);
    if size == 0 {
        return Err(Error::invalid("page_size", format!("must be 1 to {MAX}, not {size}")));
    }
    validate_or_empty(Some(size))
}

/// As [`validate`], for lists that accept 0, as those of OpenAI's videos do, and then return an empty page.
///
/// # Errors
/// [`Error::InvalidField`] above 100.
pub(crate) fn validate_or_empty(size: Option<u32>) -> Result<u32, Error> {
    let size = size.unwrap_or(DEFAULT);
    if size <= MAX {
        return Ok(size);
    }
    Err(Error::invalid("page_size", format!("must be at most {MAX}, not {size}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_1_to_100_and_zero_only_where_it_is_accepted() {
        assert_eq!((validate(None), validate(Some(100))), (Ok(20), Ok(100)));
        assert!(validate(Some(0)).is_err() && validate(Some(101)).is_err());
        assert_eq!((validate_or_empty(None), validate_or_empty(Some(0))), (Ok(20), Ok(0)));
        assert!(validate_or_empty(Some(101)).is_err());
    }
}
