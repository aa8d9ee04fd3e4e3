//! A check of the configured upstreams and providers from this machine: whether each can be reached and accepts its key.
//!
//! Only requests that are free of charge are sent. Keys and queries of base URLs are in no result.

mod interpret;
mod result;
mod target;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Method};

pub use self::result::{Probe, ProbeResult};
use self::target::{Check, Target};
use crate::{
    config::Settings,
    error::ProviderError,
    upstream::{QuotaMeaning, Upstream, parse_error_response, until},
};

/// Probes all configured upstreams and providers at the same time. The results have the order of the configuration. The settings
/// must be valid.
pub async fn probe(settings: &Settings) -> Vec<Probe> {
    join_all(target::all(settings).into_iter().map(async |target| Probe {
        result: check(&target).await.unwrap_or_else(ProbeResult::Failed),
        address: target.base.to_string(),
        name: target.name,
    }))
    .await
}

/// Probes a target.
///
/// # Errors
/// The reason why the target cannot be used.
async fn check(target: &Target) -> Result<ProbeResult, String> {
    let upstream = target.upstream.as_ref().map_err(ToString::to_string)?;
    upstream.check_connection().await.map_err(|failure| failure.to_string())?;
    match target.check {
        Check::Connection(reason) => Ok(ProbeResult::NotProbed(reason.to_owned())),
        Check::Models(path) => Ok(interpret::models(target, &get(target, upstream, path).await?)),
        Check::Get(path) => get(target, upstream, path).await.map(|_| ProbeResult::Ok("accepts the key".to_owned())),
    }
}

/// Returns the body of the response to a GET request.
///
/// # Errors
/// The reason why there is none.
async fn get(target: &Target, upstream: &Upstream, path: &str) -> Result<Bytes, String> {
    let message = |error: ProviderError| upstream.redacted(error).to_string();
    let until = until(upstream.timeouts.first_byte, None);
    let sent = upstream.send(Method::GET, path, target.headers.clone(), Bytes::new(), until).await;
    let reply = sent.map_err(message)?;
    let (status, headers): (_, HeaderMap) = (reply.status, reply.headers.clone());
    let body = upstream.body(reply, until).await.map_err(message)?;
    if status.is_success() {
        return Ok(body);
    }
    let failure = message(parse_error_response(status, &headers, &body, QuotaMeaning::EmptyAccount));
    Err(interpret::refusal(target, status, &failure))
}

#[cfg(test)]
mod tests;
