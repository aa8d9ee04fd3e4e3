//! Writes request heads and reads response heads (RFC 9112, sections 2 to 6).

use std::{mem::MaybeUninit, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header, uri::PathAndQuery};

use super::framing::{Framing, Malformed};

/// The most header lines of a response.
const MAX_HEADERS: usize = 128;

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the connection may serve another request after this response.
    pub(super) keep_alive: bool,
}

/// Returns the head of a request: request line and headers, `content-length` included. The headers of the request replace
/// those of the same name in `common`, the headers of every request.
pub(super) fn write_head(common: &HeaderMap, request: &Request<Bytes>) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let uri = request.uri();
    head.extend_from_slice(request.method().as_str().as_bytes());
    head.push(b' ');
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        for part in [scheme, "://", authority.as_str()] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    head.extend_from_slice(uri.path_and_query().map_or("/", PathAndQuery::as_str).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in common {
        if !request.headers().contains_key(name) {
            write_header(&mut head, name.as_str(), value.as_bytes());
        }
    }
    for (name, value) in request.headers() {
        write_header(&mut head, name.as_str(), value.as_bytes());
    }
    if !request.body().is_empty() || request.method() != Method::GET {
        write_header(&mut head, "content-length", request.body().len().to_string().as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn write_header(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// Returns the head at the start of `bytes` and its length once it is complete. Informational responses (1xx) before it are
/// skipped and counted in the length.
pub(super) fn read_head(method: &Method, bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let mut start = 0;
    loop {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let parsed = parser.parse_response_with_uninit_headers(&mut response, &bytes[start..], &mut lines);
        let httparse::Status::Complete(length) = parsed.map_err(|_| Malformed)? else {
            return Ok(None);
        };
        start += length;
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed)?;
        // No request here offers a protocol upgrade.
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Malformed);
        }
        if !status.is_informational() {
            let headers = read_headers(response.headers)?;
            let (framing, is_certain) = framing(method, status, &headers)?;
            let keep_alive = is_certain && keep_alive(response.version, &headers);
            return Ok(Some((Head { status, headers, framing, keep_alive }, start)));
        }
    }
}

fn read_headers(lines: &[httparse::Header<'_>]) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed)?;
        headers.append(name, HeaderValue::from_bytes(line.value).map_err(|_| Malformed)?);
    }
    Ok(headers)
}

/// Returns the framing of the body, and whether it is certain enough to reuse the connection after it.
fn framing(method: &Method, status: StatusCode, headers: &HeaderMap) -> Result<(Framing, bool), Malformed> {
    if *method == Method::HEAD || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
        return Ok((Framing::Length(0), true));
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if let Some(coding) = headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        let chunked = coding.to_str().is_ok_and(|coding| {
            coding.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
        });
        // With a length as well, the end of the response is ambiguous (RFC 9112, section 6.3).
        return Ok(if chunked { (Framing::chunked(), length.is_none()) } else { (Framing::UntilClose, false) });
    }
    let Some(length) = length else { return Ok((Framing::UntilClose, false)) };
    if lengths.any(|other| other != length) {
        return Err(Malformed);
    }
    let digits = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    Ok((Framing::Length(digits.and_then(|digits| digits.parse().ok()).ok_or(Malformed)?), true))
}

/// Returns whether the `Connection` header lets the connection serve another request.
fn keep_alive(version: Option<u8>, headers: &HeaderMap) -> bool {
    let has_option = |name: &str| {
        let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name))
    };
    match version {
        Some(1) => !has_option("close"),
        _ => has_option("keep-alive"),
    }
}

/// Returns how long the upstream keeps an idle connection, if it announces that: `Keep-Alive: timeout=5, max=100`.
pub(super) fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<(Head, usize), Malformed> {
        read_head(&Method::POST, text.as_bytes()).map(|head| head.expect("a complete head"))
    }

    #[test]
    fn request_head_has_target_headers_and_content_length() {
        let request = |method, body: &'static str| {
            let uri = if body.is_empty() { "/v1/tasks?a=b" } else { "http://a.example:8/v1/chat" };
            let common = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a.example:8"))]);
            let request = Request::builder().method(method).uri(uri).body(Bytes::from(body)).unwrap();
            String::from_utf8(write_head(&common, &request)).unwrap()
        };
        assert_eq!(request(Method::GET, ""), "GET /v1/tasks?a=b HTTP/1.1\r\nhost: a.example:8\r\n\r\n");
        assert_eq!(
            request(Method::POST, "{}"),
            "POST http://a.example:8/v1/chat HTTP/1.1\r\nhost: a.example:8\r\ncontent-length: 2\r\n\r\n"
        );
        assert!(request(Method::POST, "").ends_with("\r\ncontent-length: 0\r\n\r\n"));
    }

    #[test]
    fn headers_of_a_request_replace_the_common_ones() {
        let common = [(header::ACCEPT, "*/*"), (header::HOST, "a"), (header::ACCEPT, "a/b")];
        let mut headers = HeaderMap::new();
        for (name, value) in common {
            headers.append(name, HeaderValue::from_static(value));
        }
        let request = Request::get("/").header(header::HOST, "b").body(Bytes::new()).unwrap();
        let head = String::from_utf8(write_head(&headers, &request)).unwrap();
        assert_eq!(head, "GET / HTTP/1.1\r\naccept: */*\r\naccept: a/b\r\nhost: b\r\n\r\n");
    }

    #[test]
    fn head_is_read_once_complete_and_1xx_responses_are_skipped() {
        let text = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\n{}";
        for length in 0..text.len() - 2 {
            assert!(read_head(&Method::POST, &text.as_bytes()[..length]).unwrap().is_none(), "{length} bytes");
        }
        let (head, length) = head(text).unwrap();
        assert_eq!((head.status.as_u16(), head.headers.len(), length), (200, 3, text.len() - 2));
        assert_eq!((head.framing, head.keep_alive), (Framing::Length(2), true));
    }

    #[test]
    fn headers_determine_framing_and_keep_alive() {
        let cases = [
            ("1.1 200 OK\r\nTransfer-Encoding: chunked", Framing::chunked(), true),
            ("1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\ncontent-length: 5", Framing::chunked(), false),
            ("1.1 200 OK\r\ntransfer-encoding: gzip", Framing::UntilClose, false),
            ("1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close", Framing::Length(5), false),
            ("1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5", Framing::Length(5), true),
            ("1.0 200 OK\r\ncontent-length: 5", Framing::Length(5), false),
            ("1.0 200 OK\r\ncontent-length: 5\r\nconnection: Keep-Alive", Framing::Length(5), true),
            ("1.1 200 OK", Framing::UntilClose, false),
            ("1.1 204 No Content", Framing::Length(0), true),
        ];
        for (text, framing, keep_alive) in cases {
            let (head, _) = head(&format!("HTTP/{text}\r\n\r\n")).unwrap();
            assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{text}");
        }
    }

    #[test]
    fn keep_alive_header_announces_the_idle_timeout() {
        let timeout = |text: &'static str| {
            keep_alive_timeout(&HeaderMap::from_iter(
                [("keep-alive", text)]
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
            ))
        };
        assert_eq!(timeout("timeout=5, max=100"), Some(Duration::from_secs(5)));
        assert_eq!(timeout("max=100,timeout=15"), Some(Duration::from_secs(15)));
        for text in ["", "max=100", "timeout=", "timeout=soon", "timeout=-1"] {
            assert_eq!(timeout(text), None, "{text}");
        }
        assert_eq!(keep_alive_timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn malformed_heads_are_rejected() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: 1\r\n\r\n",
        ] {
            assert!(head(text).is_err(), "{text}");
        }
    }
}
