//! The names in `google.rpc.ErrorInfo`, which every failed call has in the details of its status: the core writes them, the gateway
//! reads them. `proto/triptych/v1/error.proto` describes them for clients.

use crate::v1::ErrorReason;

/// The domain: whose reasons they are.
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

/// What the names of enum values have in front, by the rules for proto files.
const PREFIX: &str = "ERROR_REASON_";

/// Returns the reason as `ErrorInfo` has it: `VIDEO_NOT_FOUND` for `ERROR_REASON_VIDEO_NOT_FOUND`.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches(PREFIX)
}

/// Returns the reason as error codes in JSON and labels of metrics have it: `video_not_found`.
pub fn reason_code(reason: ErrorReason) -> String {
    reason_name(reason).to_ascii_lowercase()
}

/// Returns the reason with the name [`reason_name`]; `None` for one of a later version.
pub fn reason_of_name(name: &str) -> Option<ErrorReason> {
    ErrorReason::from_str_name(&format!("{PREFIX}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_reason_leads_back_to_it() {
        assert_eq!(reason_code(ErrorReason::VideoNotFound), "video_not_found");
        assert_eq!(reason_of_name(reason_name(ErrorReason::VideoNotFound)), Some(ErrorReason::VideoNotFound));
        assert_eq!(reason_of_name("LATER"), None);
    }
}
