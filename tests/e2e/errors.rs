//! Generates `docs/ERRORS.md` from the tables of the code, the gRPC codes of the core and the HTTP statuses of the gateway, and
//! compares it with the stored page.

use std::{env, fmt::Write as _, fs, path::Path};

use rest_gateway::error::Retry;
use triptych_proto::error_info::reason_name;

const INTRODUCTION: &str = "\
# Errors

Every reason for which a call can fail, with its status over REST and gRPC, and whether a retry can help. Generated from the code: a test
compares this page with it, and writes the page if `UPDATE_DOCS=1` is set.

A failed gRPC call has its reason in a `google.rpc.ErrorInfo` of the domain `triptych`, the invalid field in a
`google.rpc.BadRequest`, and the time to wait in a `google.rpc.RetryInfo`. The trailer `grpc-retry-pushback-ms` has the same delay
in milliseconds for the retry logic of gRPC clients, or `-1` where the upstream may have executed the request: such a call must not
be retried. A failed REST call has OpenAI's error body:

```json
{\"error\": {\"message\": \"must be from 1 to 128, not 0\", \"type\": \"invalid_request_error\", \"param\": \"n\", \"code\": \"invalid_field\"}}
```

If the error of a chat or image upstream has a `code` that is not a number, a `type` or a `param`, the REST error has them, and its
further members up to 1 KiB; over gRPC the `ErrorInfo` metadata has them as `upstream_code`, `upstream_type`, `upstream_param`,
and the others as JSON in `upstream_members`. They are omitted for rejected credentials, 404 and 405, which only the operator
can correct. Message and details of a gRPC status are cut to 6 KiB in total.

Otherwise `code` is the reason in lower case, `param` the invalid member. Official clients retry 408, 409, 429 and 5xx. Where a retry
cannot succeed, the response has `x-should-retry: false`; where a retry should wait, `Retry-After` (seconds, 1 to 60) and
`retry-after-ms` say for how long.

| reason | gRPC code | HTTP | `type` | retry |
| --- | --- | --- | --- | --- |
";

/// Errors that the gateway itself returns, which have no reason in the contract.
const LOCAL: &str = "
Errors of the gateway, for requests that do not reach the core:

| `code` | HTTP | when |
| --- | --- | --- |
| `invalid_json` | 400 | the body is not JSON, not UTF-8, or nested too deeply |
| `invalid_request` | 400 | a header, the query string, or the gzip or multipart encoding of the body is malformed, or the body is incomplete or changes nothing. A member or parameter with a wrong value is an `invalid_field`, with its name in `param` |
| `not_found`, `unsupported_endpoint` | 404 | no such endpoint |
| `link_not_signed` | 403 | media links must be signed, and this one is not signed or was modified |
| `origin_not_allowed` | 403 | a web page of another origin may not send requests that change state; see `rest.cors_allow_origins` |
| `link_expired` | 410 | the signature of the link has expired |
| `method_not_allowed` | 405 | the `Allow` header lists the supported methods |
| `request_timeout` | 408 | the body did not arrive within `rest.body_timeout` |
| `request_too_large` | 413 | the body is longer than `rest.body_limit_bytes` |
| `unsupported_media_type` | 415 | the content type or encoding of the body is not supported |
";

/// Returns the page: one row for each reason of the contract.
fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for row in rest_gateway::error::table() {
        let reason = reason_name(row.reason);
        let retry = match row.retry {
            Retry::AsUsual if row.http.is_server_error() => "yes, with back-off",
            Retry::AsUsual => "no",
            Retry::Later => "after `Retry-After`",
            Retry::Never => "no: `x-should-retry: false`",
        };
        // gRPC's own spelling, such as INVALID_ARGUMENT, which no type prints.
        let code = format!("{:?}", core_service::status::code(row.reason));
        let code = code.chars().fold(String::new(), |mut name, letter| {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
            name
        });
        writeln!(page, "| {reason} | {code} | {} | {} | {retry} |", row.http.as_u16(), row.kind()).unwrap();
    }
    page + LOCAL
}

#[test]
fn error_page_matches_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ERRORS.md");
    let page = page();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page, "docs/ERRORS.md is out of date: run the tests once with UPDATE_DOCS=1");
}
