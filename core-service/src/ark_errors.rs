//! The error codes of Volcengine Ark, the model API of ByteDance, which its image and video APIs share.

use serde_json::Value;

use crate::error::ProviderError;

/// Replaces `by_status`, the failure that the HTTP status stands for, by that of the error code, which is often more specific.
pub(crate) fn refine(error: &Value, by_status: ProviderError) -> ProviderError {
    by_code(error).unwrap_or(by_status)
}

/// Maps an error by its code, or by its type if the code is unknown; `None` if both are unknown.
///
/// Codes have the form `FAMILY.DETAIL`. Ark keeps adding details to the families, so the mapping uses the family and common
/// parts of the names.
fn by_code(error: &Value) -> Option<ProviderError> {
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let code = text("code");
    let message = Some(text("message")).filter(|message| !message.is_empty()).unwrap_or(code).to_owned();
    let (family, detail) = code.split_once('.').unwrap_or((code, ""));
    if ["Sensitive", "RiskDetection", "PolicyViolation"].iter().any(|part| code.contains(part)) {
        return Some(ProviderError::ContentPolicy(message));
    }
    if code.contains("RateLimit") {
        return Some(ProviderError::RateLimited { message, retry_after: None });
    }
    // `InvalidParameter.size` names a request member, `InvalidParameter.OversizedImage` does not.
    let member = Some(detail).filter(|detail| detail.starts_with(|first: char| first.is_ascii_lowercase()));
    let field = Some(text("param")).filter(|param| !param.is_empty()).or(member).map(str::to_owned);
    let kind = match family {
        "InvalidParameter" | "MissingParameter" => "BadRequest",
        "AuthenticationError" | "AccessDenied" | "OperationDenied" => "Unauthorized",
        // Retrying does not help: the account is empty, the free trial is used up, the service is not subscribed, or a limit
        // is reached that the account's owner set.
        "AccountOverdueError" | "ServiceOverdue" | "ServiceNotOpen" | "QuotaExceeded" | "SetLimitExceeded" => {
            "Forbidden"
        }
        // A configuration error of the operator: the model or its endpoint is wrong.
        "InvalidEndpointOrModel" | "InvalidEndpoint" | "ModelNotOpen" | "UnsupportedModel" | "NotFound" => "NotFound",
        "ServerOverloaded" | "RequestBurstTooFast" => "TooManyRequests",
        // `ContentSecurityDetectionError`: the content check itself failed; the content was not rejected.
        "InternalServiceError" | "ContentSecurityDetectionError" => "InternalServerError",
        // The name of the HTTP status, for example `BadRequest`.
        _ => text("type"),
    };
    Some(match kind {
        "BadRequest" => ProviderError::Refused { message, field },
        "Unauthorized" | "Forbidden" => ProviderError::Credentials(message),
        "NotFound" => ProviderError::unavailable(message),
        "TooManyRequests" => ProviderError::RateLimited { message, retry_after: None },
        "InternalServerError" => ProviderError::Broken(message),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_of_an_empty_account_are_not_rate_limits() {
        let by_status = || ProviderError::RateLimited { message: String::new(), retry_after: None };
        for code in ["QuotaExceeded", "SetLimitExceeded", "ServiceOverdue", "ServiceNotOpen", "AccountOverdueError"] {
            let error = refine(&json!({"code": code, "type": "TooManyRequests"}), by_status());
            assert_eq!(error, ProviderError::Credentials(code.to_owned()));
        }
        let limited = refine(&json!({"code": "RateLimitExceeded.EndpointRPMExceeded"}), by_status());
        assert!(matches!(limited, ProviderError::RateLimited { .. }));
    }

    #[test]
    fn codes_of_rejected_content_are_content_policy_errors() {
        for code in [
            "InputImageSensitiveContentDetected.PrivacyInformation",
            "OutputVideoSensitiveContentDetected",
            "OutputAudioSensitiveContentDetected.PolicyViolation",
            "InputTextRiskDetection",
        ] {
            let error = refine(&json!({"code": code, "message": "m"}), ProviderError::Broken(String::new()));
            assert_eq!(error, ProviderError::ContentPolicy("m".to_owned()), "{code}");
        }
    }
}
