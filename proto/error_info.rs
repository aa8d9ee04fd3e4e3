//! The names in `google.rpc.ErrorInfo`, which every failed call has in the details of its status: the core writes them, the gateway
//! reads them. `proto/triptych/v1/error.proto` describes them for clients.

use crate::v1::ErrorReason;

/// The `domain` of every `ErrorInfo`.
pub const DOMAIN: &str = "triptych";

/// The key in the metadata whose value `true` says that the upstream may have executed, and billed, the request.
pub const MAY_HAVE_EXECUTED: &str = "may_have_executed";
/// The key in the metadata for the member `code` of the upstream's error.
pub const UPSTREAM_CODE: &str = "upstream_code";
/// The key in the metadata for the member `type` of the upstream's error.
pub const UPSTREAM_TYPE: &str = "upstream_type";
/// The key in the metadata for the member `param` of the upstream's error.
pub const UPSTREAM_PARAM: &str = "upstream_param";
/// The key in the metadata for all further members of the upstream's error, as the text of a JSON object.
pub const UPSTREAM_MEMBERS: &str = "upstream_members";

/// The prefix of the names of the enum values, which the style rules for proto files require.
const PREFIX: &str = "ERROR_REASON_";

/// Returns the reason as `ErrorInfo` has it: `VIDEO_NOT_FOUND` for `ERROR_REASON_VIDEO_NOT_FOUND`.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches(PREFIX)
}

/// Returns the reason as error codes in JSON and labels of metrics have it: `video_not_found`.
pub fn reason_code(reason: ErrorReason) -> String {
    reason_name(reason).to_ascii_lowercase()
}

/// Returns the reason whose [`reason_name`] is `name`; `None` if only a later version has it.
pub fn reason_of_name(name: &str) -> Option<ErrorReason> {
    ErrorReason::from_str_name(&format!("{PREFIX}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_of_name_inverts_reason_name_and_refuses_unknown_names() {
        assert_eq!(reason_code(ErrorReason::VideoNotFound), "video_not_found");
        assert_eq!(reason_of_name(reason_name(ErrorReason::VideoNotFound)), Some(ErrorReason::VideoNotFound));
        assert_eq!(reason_of_name("LATER"), None);
    }
}
