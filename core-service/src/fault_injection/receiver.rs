//! Simulated webhook receivers that fail in a defined way, so that operators can test retries and alerts.
//!
//! The host of the webhook URL selects the fault. No request is sent: the outcome of each delivery attempt is simulated. The
//! top-level domain `.invalid` never resolves (RFC 6761), so these hosts cannot hide a real receiver:
//!
//! | host | outcome of the delivery attempts |
//! | --- | --- |
//! | `webhook-fault-N.invalid`, N a number | status 503 for the first N attempts, then status 200 |
//! | `webhook-fault-down.invalid` | no connection for all attempts |

use url::Url;

/// The host is the prefix, the fault and the suffix.
const PREFIX: &str = "webhook-fault-";
const SUFFIX: &str = ".invalid";

/// The fault of a simulated receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiverFault {
    /// Responds with 503 to the first `attempts`, then with 200.
    Fails { attempts: u32 },
    /// Accepts no connection.
    Down,
}

impl ReceiverFault {
    /// Returns the fault that the host of this URL selects; `None` for a real receiver.
    pub(crate) fn from_url(url: &Url) -> Option<Self> {
        match url.host_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)? {
            "down" => Some(Self::Down),
            attempts => attempts.parse().ok().map(|attempts| Self::Fails { attempts }),
        }
    }

    /// Returns the status of the response to a delivery attempt; `None` if there is no response. `previous_attempts` is the number
    /// of attempts of the same delivery before this one.
    pub(crate) fn status(self, previous_attempts: u32) -> Option<http::StatusCode> {
        match self {
            Self::Fails { attempts } if previous_attempts < attempts => Some(http::StatusCode::SERVICE_UNAVAILABLE),
            Self::Fails { .. } => Some(http::StatusCode::OK),
            Self::Down => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_host_selects_a_fault() {
        for (url, expected) in [
            ("https://webhook-fault-2.invalid/hook?a=b", Some(ReceiverFault::Fails { attempts: 2 })),
            ("http://webhook-fault-down.invalid", Some(ReceiverFault::Down)),
            ("https://webhook-fault-2.invalid.example.com/", None),
            ("https://webhook-fault--1.invalid/", None),
            ("https://example.com/webhook-fault-2.invalid", None),
        ] {
            assert_eq!(ReceiverFault::from_url(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn attempts_after_the_failing_ones_succeed_unless_the_receiver_is_down() {
        let statuses = |fault: ReceiverFault| {
            [0, 1, 2, 3].map(|previous_attempts| fault.status(previous_attempts).map(|status| status.as_u16()))
        };
        assert_eq!(statuses(ReceiverFault::Fails { attempts: 2 }), [Some(503), Some(503), Some(200), Some(200)]);
        assert_eq!(statuses(ReceiverFault::Down), [None; 4]);
    }
}
