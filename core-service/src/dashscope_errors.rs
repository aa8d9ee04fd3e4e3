//! The error codes of DashScope, the model API of Alibaba Cloud, which its image and video APIs share.

use serde_json::{Value, json};

use crate::{error::ProviderError, json::members::Members, upstream::parse_error_member_with};

/// Returns the error that an object reports, if any.
pub(crate) fn error_of(members: &Members<'_>) -> Option<ProviderError> {
    let code = members.text("code")?;
    let message = members.text("message").unwrap_or_else(|| code.clone());
    let mut error = json!({"code": code, "message": message});
    if let Some(id) = members.text("request_id") {
        error["request_id"] = id.into();
    }
    Some(parse_error_member_with(&error.to_string(), refine))
}

/// Replaces `by_status`, the failure that the HTTP status stands for, by that of the error code, which is more specific.
pub(crate) fn refine(error: &Value, by_status: ProviderError) -> ProviderError {
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    by_code(text("code"), text("message")).unwrap_or(by_status)
}

/// Maps an error by its code; `None` for unknown codes. Codes have the form `FAMILY.DETAIL`.
fn by_code(code: &str, message: &str) -> Option<ProviderError> {
    let message = message.to_owned();
    let family = code.split('.').next().unwrap_or(code);
    Some(match family {
        "DataInspectionFailed" | "IPInfringementSuspect" => ProviderError::ContentPolicy(message),
        "InvalidApiKey" | "AccessDenied" | "Arrearage" | "AllocationQuota" => ProviderError::Credentials(message),
        "Throttling" => ProviderError::RateLimited { message, retry_after: None },
        // A configuration error of the operator: the model is wrong.
        "ModelNotFound" | "ModelUnavailable" => ProviderError::unavailable(message),
        "InvalidParameter" | "InvalidURL" | "BadRequest" => ProviderError::Refused { message, field: None },
        "InternalError" if code.ends_with("Timeout") => ProviderError::Timeout(message),
        "RequestTimeOut" => ProviderError::Timeout(message),
        "InternalError" => ProviderError::Broken(message),
        _ => return None,
    })
}
