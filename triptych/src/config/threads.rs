//! The threads that serve connections.

use std::{fmt, num::NonZeroUsize};

use http_server::ThreadCount;
use serde::{Deserialize, Deserializer, de::Visitor};

/// A larger number is taken for a typing error.
const MAX_THREADS: usize = 1024;

/// The setting `threads`: `per-cpu`, a thread for each CPU; `shared`, the threads of the main runtime; or a number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threads(pub(crate) ThreadCount);

struct ThreadsVisitor;

impl Visitor<'_> for ThreadsVisitor {
    type Value = Threads;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"per-cpu\", \"shared\", or a number from 1 to {MAX_THREADS}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Threads, E> {
        match text {
            "per-cpu" => Ok(Threads(ThreadCount::PerCpu)),
            "shared" => Ok(Threads(ThreadCount::Shared)),
            // The value of an environment variable is always a text.
            _ => match text.parse() {
                Ok(count) => self.visit_u64(count),
                Err(_) => {
                    Err(E::custom(format!("must be \"per-cpu\", \"shared\", or a number from 1 to {MAX_THREADS}")))
                }
            },
        }
    }

    fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Threads, E> {
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_THREADS).and_then(NonZeroUsize::new);
        let count = count.ok_or_else(|| E::custom(format!("must be a number from 1 to {MAX_THREADS}")))?;
        Ok(Threads(ThreadCount::Fixed(count)))
    }

    fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Threads, E> {
        self.visit_u64(u64::try_from(count).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ThreadsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_a_word_or_a_number() {
        assert_eq!(parse("per-cpu"), Ok(ThreadCount::PerCpu));
        assert_eq!(parse("shared"), Ok(ThreadCount::Shared));
        assert_eq!(parse("2"), Ok(ThreadCount::Fixed(const { NonZeroUsize::new(2).unwrap() })));
        for wrong in ["0", "1025", "-1", "many"] {
            assert!(parse(wrong).unwrap_err().contains("1 to 1024"), "{wrong}");
        }
    }

    fn parse(text: &str) -> Result<ThreadCount, String> {
        let source = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
        Threads::deserialize(source).map(|threads| threads.0).map_err(|error| error.to_string())
    }
}
