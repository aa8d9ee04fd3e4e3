//! HTTP clients that apply an [`AddressPolicy`].
//!
//! An IP address in the URL itself must be checked by the caller, with [`AddressPolicy::check`], before each request: it is not
//! resolved. Host names are checked here, by the very addresses that are connected to, so a second response of the name server
//! (DNS rebinding) cannot lead elsewhere.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::Url;

use super::address_policy::{AddressPolicy, NOT_PUBLIC};

/// Builds a client for untrusted URLs. It uses no proxy, because the proxy would resolve the names.
pub(crate) fn restricted(policy: AddressPolicy, connect_timeout: Duration) -> Result<Client, reqwest::Error> {
    build(|| builder(connect_timeout).no_proxy().dns_resolver(Arc::new(RestrictedResolver(policy))))
}

/// Builds a client for URLs that the operator configured. It uses the proxies of the environment, like all upstream calls.
pub(super) fn unrestricted(connect_timeout: Duration) -> Result<Client, reqwest::Error> {
    build(|| builder(connect_timeout))
}

/// Returns whether an [`unrestricted`] client sends requests for this URL to a proxy, which then resolves the name.
pub(super) fn uses_proxy(proxies: &Matcher, url: &Url) -> bool {
    let proxy = url.as_str().parse::<Uri>().ok().and_then(|uri| proxies.intercept(&uri));
    proxy.is_some_and(|proxy| matches!(proxy.uri().scheme_str(), Some("http" | "https")))
}

/// The common settings: no automatic redirects, no cookies, no idle connections.
fn builder(connect_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .no_gzip()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("triptych/", env!("CARGO_PKG_VERSION")))
}

fn build(builder: impl Fn() -> ClientBuilder) -> Result<Client, reqwest::Error> {
    // Fails if the process has a default crypto provider already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    builder().build().or_else(|error| {
        // A container without root certificates can still fetch http URLs.
        tracing::warn!("no https URL can be fetched, because TLS cannot be set up: {error}");
        builder().tls_certs_only([]).build()
    })
}

/// Returns whether a request failed because its host name has no permitted address.
pub(crate) fn is_not_public(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<NotPublic>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Resolves names and drops the addresses that are not permitted.
#[derive(Debug)]
struct RestrictedResolver(AddressPolicy);

#[derive(Debug, thiserror::Error)]
#[error("{NOT_PUBLIC}")]
struct NotPublic;

impl Resolve for RestrictedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<_> = found.filter(|address| policy.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_is_used_for_its_scheme_except_for_excluded_hosts() {
        let https = Matcher::builder().https("http://10.0.0.1:3128").no("inside.example,192.168.0.0/16").build();
        let socks = Matcher::builder().all("socks5://10.0.0.1:1080").build();
        for (proxies, link, expected) in [
            (&https, "https://cdn.example/p.png?sign=a%2Fb", true),
            (&https, "https://cdn.example:8443/p.png", true),
            (&https, "http://cdn.example/p.png", false),
            (&https, "https://files.inside.example/p.png", false),
            (&https, "https://192.168.7.7/p.png", false),
            // SOCKS is not supported by these clients: they connect directly.
            (&socks, "https://cdn.example/p.png", false),
        ] {
            assert_eq!(uses_proxy(proxies, &Url::parse(link).unwrap()), expected, "{link}");
        }
    }
}
