//! Maps error codes of upstreams to HTTP statuses, for errors in a response whose own status is 200, as in streams.

/// Returns the status for a `code`, `status` or `type` of an error; `None` for an unknown word.
pub(super) fn status_of_error_code(word: &str) -> Option<u16> {
    // `Throttling.RateQuota`, `rate_limit_error`, `RateLimitError` and `RATE-LIMIT` differ in spelling only.
    let word = word.split('.').next().unwrap_or_default();
    let word: String = word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let word = word.strip_suffix("error").filter(|word| !word.is_empty()).unwrap_or(&word);
    Some(match word {
        "contextlengthexceeded"
        | "exceedcontextsize"
        | "stringabovemaxlength"
        | "invalidrequest"
        | "badrequest"
        | "invalidargument"
        | "invalidparameter"
        | "invalidparametervalue"
        | "invalidvalue"
        | "invalidprompt"
        | "invalidimage"
        | "invalidurl"
        | "missingparameter"
        | "missingrequiredparameter"
        | "unknownparameter"
        | "unsupportedparameter"
        | "unsupportedvalue"
        | "unsupportedmodel"
        | "failedprecondition"
        | "outofrange"
        | "validation"
        | "unprocessableentity"
        | "value" => 400,
        "invalidapikey" | "incorrectapikey" | "authentication" | "unauthenticated" | "unauthorized" => 401,
        "permission" | "permissiondenied" | "accessdenied" | "forbidden" => 403,
        "notfound" | "modelnotfound" | "unknownmodel" => 404,
        "requesttoolarge" | "payloadtoolarge" => 413,
        "ratelimit"
        | "ratelimitexceeded"
        | "ratelimited"
        | "ratelimitreached"
        | "toomanyrequests"
        | "throttling"
        | "resourceexhausted"
        | "requestlimitexceeded"
        | "limitrequests"
        | "limitburstrate" => 429,
        "timeout" | "requesttimeout" | "deadlineexceeded" | "gatewaytimeout" => 504,
        "unimplemented" | "notimplemented" => 501,
        "overloaded" | "serveroverloaded" | "engineoverloaded" | "modeloverloaded" | "serviceunavailable"
        | "unavailable" | "serverbusy" => 503,
        "server" | "internal" | "internalserver" | "api" => 500,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::status_of_error_code;

    #[test]
    fn words_are_known_in_every_spelling() {
        for (word, status) in [
            ("context_length_exceeded", Some(400)),
            ("exceed_context_size_error", Some(400)),
            ("BadRequestError", Some(400)),
            ("INVALID_ARGUMENT", Some(400)),
            ("InvalidParameter.DataInspection", Some(400)),
            ("rate_limit_exceeded", Some(429)),
            ("Throttling.RateQuota", Some(429)),
            ("RESOURCE_EXHAUSTED", Some(429)),
            ("overloaded_error", Some(503)),
            ("timeout", Some(504)),
            ("server_error", Some(500)),
            ("error", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(status_of_error_code(word), status, "{word}");
        }
    }
}
