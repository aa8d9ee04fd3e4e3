//! The templates of prose replies, by language.

mod en;
mod types;
mod zh;

use crate::language::Language;

pub(crate) use types::Phrases;

/// Returns the templates of a language.
pub(crate) fn for_language(language: Language) -> &'static Phrases {
    match language {
        Language::English => &en::PHRASES,
        Language::Chinese => &zh::PHRASES,
    }
}
