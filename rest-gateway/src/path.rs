//! Request paths: the extractor of a variable segment, and the removal of doubled and trailing slashes.

use axum::extract::{FromRequestParts, Path, Request};
use http::{Uri, request::Parts, uri::PathAndQuery};

use crate::error::GatewayError;

/// A percent-decoded path variable, with any characters. A request whose variable is not UTF-8 is answered 404.
#[derive(Debug, Clone)]
pub(crate) struct PathId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, GatewayError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(GatewayError::not_found(parts.uri.path())),
        }
    }
}

/// Beginnings of paths that are followed by an identifier, in which every slash counts.
const IDENTIFIERS: [&str; 2] = ["/v1/models/", "/media/"];

/// Folds doubled slashes of a request's path into one and removes one at its end: base URLs are often configured with a
/// slash too many. Doubled slashes within model ids and media keys are kept.
pub(crate) fn fold_slashes(mut request: Request) -> Request {
    if let Some(uri) = fold(request.uri()) {
        let unfolded = std::mem::replace(request.uri_mut(), uri);
        request.extensions_mut().insert(UnfoldedUri(unfolded));
    }
    request
}

/// The URI of the request before its slashes were folded, by which pages redirect from an address with a slash at its end. An extension of
/// requests to which [`fold`] was applied.
#[derive(Debug, Clone)]
pub(crate) struct UnfoldedUri(pub(crate) Uri);

/// Returns the URI with folded slashes. `None` if its path has neither a doubled slash nor one at its end. Slashes within a model id or
/// media key stay doubled.
fn fold(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let is_doubled = path.as_bytes().windows(2).any(|pair| pair == b"//");
    if !is_doubled && (path.len() == 1 || !path.ends_with('/')) {
        return None;
    }
    let mut folded = String::with_capacity(path.len() + 1);
    let mut rest = path;
    while let Some((segment, after)) = rest.trim_start_matches('/').split_once('/') {
        folded.push('/');
        folded.push_str(segment);
        rest = after;
        if IDENTIFIERS.iter().any(|start| start.strip_suffix('/') == Some(&folded)) {
            break;
        }
    }
    let last = rest.trim_start_matches('/');
    let last = last.strip_suffix('/').unwrap_or(last);
    if !last.is_empty() || folded.is_empty() {
        folded.push('/');
        folded.push_str(last);
    }
    if let Some(query) = uri.query() {
        folded.push('?');
        folded.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(folded).ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_folded_outside_identifiers() {
        for (path, expected) in [
            ("//v1/chat/completions", "/v1/chat/completions"),
            ("/v1//chat///completions", "/v1/chat/completions"),
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("/v1/chat/completions//", "/v1/chat/completions"),
            ("/v1//models/?a=//b/", "/v1/models?a=//b/"),
            ("//", "/"),
            ("/v1//models/a//b", "/v1/models/a//b"),
            ("/v1/models//a//b/", "/v1/models/a//b"),
            ("/media//a//b", "/media/a//b"),
            ("http://a.test//v1/models", "http://a.test/v1/models"),
        ] {
            assert_eq!(fold(&path.parse().unwrap()).unwrap().to_string(), expected, "{path}");
        }
        for path in ["/", "/v1/models", "/v1/models/a/b", "/v1/videos/a%2F%2Fb"] {
            assert_eq!(fold(&path.parse().unwrap()), None, "{path}");
        }
        assert_eq!(fold(&"/v1/models/a//b".parse().unwrap()).unwrap(), "/v1/models/a//b");
    }
}
