//! The error table, put together from its two halves and printed into `docs/ERRORS.md`.

use std::{env, fmt::Write as _, fs, path::Path};

use rest_gateway::error::Retry;

const INTRODUCTION: &str = "\
# Errors

Generated from the code: a test compares this page with it, and writes it when `UPDATE_DOCS=1` is set.

A failed gRPC call carries its reason in a `google.rpc.ErrorInfo` of the domain `triptych`, the wrong field in a
`google.rpc.BadRequest`, and the time to wait in a `google.rpc.RetryInfo`. The trailer `grpc-retry-pushback-ms` has the same delay in
milliseconds for the retry logic of gRPC clients, or `-1` where the upstream may have executed the request: such a call must
not be retried. A failed REST call answers with OpenAI's body:

```json
{\"error\": {\"message\": \"must be from 1 to 128, not 0\", \"type\": \"invalid_request_error\", \"param\": \"n\", \"code\": \"invalid_field\"}}
```

`code` is the reason in lower case, `param` the wrong member. Official clients try 408, 409, 429 and 5xx again; where that
cannot help, the answer says `x-should-retry: false`, and where waiting helps, `Retry-After` (seconds, 1 to 60) and
`retry-after-ms` say how long.

| reason | gRPC code | HTTP | `type` | retry |
| --- | --- | --- | --- | --- |
";

const LOCAL: &str = "
The REST side has a few of its own, which never reach the core:

| `code` | HTTP | when |
| --- | --- | --- |
| `invalid_json` | 400 | the body is not JSON, not UTF-8, or nested too deeply |
| `invalid_request` | 400 | a header or the form of the body is wrong |
| `not_found`, `unsupported_endpoint` | 404 | nothing is served under this address |
| `link_not_signed` | 403 | links are signed here, and this one is not, or was changed |
| `link_expired` | 410 | the link was good once |
| `method_not_allowed` | 405 | the `Allow` header names the right methods |
| `request_timeout` | 408 | the body did not arrive in time |
| `request_too_large` | 413 | the body is longer than `rest.body_limit_bytes` |
| `unsupported_media_type` | 415 | the body is encoded in a way that is not read here |
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for row in rest_gateway::error::table() {
        let reason = row.reason.as_str_name().trim_start_matches("ERROR_REASON_").to_owned();
        let retry = match row.retry {
            Retry::AsUsual if row.http.is_server_error() => "as usual for a 5xx",
            Retry::AsUsual => "no",
            Retry::Later => "after `Retry-After`",
            Retry::Never => "no: `x-should-retry: false`",
        };
        // The protocol's own spelling, which no Rust type prints.
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
fn the_error_page_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ERRORS.md");
    let page = page();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page, "docs/ERRORS.md is out of date; run the tests once with UPDATE_DOCS=1");
}
