//! Receivers of webhooks that fail in a defined way. Nothing is sent to them.
//!
//! They are host names below `.invalid`, which no name server knows (RFC 6761):
//!
//! | host | effect |
//! | --- | --- |
//! | `webhook-fault-N.invalid`, N a number | the first N attempts get status 503, the next one 200 |
//! | `webhook-fault-down.invalid` | no attempt reaches a receiver |

use url::Url;

const PREFIX: &str = "webhook-fault-";
const SUFFIX: &str = ".invalid";

/// A receiver that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiverFault {
    /// Fails so many attempts, then responds with 200.
    Fails(u32),
    /// Never responds.
    Down,
}

impl ReceiverFault {
    /// Returns the fault of the receiver at this URL.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        match url.host_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)? {
            "down" => Some(Self::Down),
            count => count.parse().ok().map(Self::Fails),
        }
    }

    /// Returns the status of the response to an attempt, if there is one. `earlier` is the number of attempts before it.
    pub(crate) fn status(self, earlier: u32) -> Option<http::StatusCode> {
        match self {
            Self::Fails(count) if earlier < count => Some(http::StatusCode::SERVICE_UNAVAILABLE),
            Self::Fails(_) => Some(http::StatusCode::OK),
            Self::Down => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_part_of_the_host() {
        for (url, expected) in [
            ("https://webhook-fault-2.invalid/hook?a=b", Some(ReceiverFault::Fails(2))),
            ("http://webhook-fault-down.invalid", Some(ReceiverFault::Down)),
            ("https://webhook-fault-2.invalid.example.com/", None),
            ("https://webhook-fault--1.invalid/", None),
            ("https://example.com/webhook-fault-2.invalid", None),
        ] {
            assert_eq!(ReceiverFault::of(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn attempts_fail_as_often_as_the_host_says() {
        let statuses = |fault: ReceiverFault| [0, 1, 2, 3].map(|earlier| fault.status(earlier).map(|s| s.as_u16()));
        assert_eq!(statuses(ReceiverFault::Fails(2)), [Some(503), Some(503), Some(200), Some(200)]);
        assert_eq!(statuses(ReceiverFault::Down), [None; 4]);
    }
}
