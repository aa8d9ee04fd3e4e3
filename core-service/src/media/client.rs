//! HTTP clients that connect to nothing a [`Guard`] refuses.
//!
//! A written-out address is the asker's to check, with [`Guard::check`], before each request: a resolver never hears of
//! it. Names are checked here, by the addresses that the connection then really uses, so none can change its mind.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::Url;

use super::guard::{Guard, NOT_PUBLIC};

/// A client for addresses that strangers chose. It uses no proxy, which would do the resolving.
pub(super) fn guarded(guard: Guard, connect: Duration) -> Result<Client, reqwest::Error> {
    built(|| plain(connect).no_proxy().dns_resolver(Arc::new(GuardedResolver(guard))))
}

/// A client for addresses that the operator chose. Proxies of the environment hold, as for every call to an upstream.
pub(super) fn trusting(connect: Duration) -> Result<Client, reqwest::Error> {
    built(|| plain(connect))
}

/// Whether a [`trusting`] client asks a proxy of the environment for this address, and therefore resolves no name of it.
pub(super) fn goes_by_proxy(proxies: &Matcher, url: &Url) -> bool {
    let proxy = url.as_str().parse::<Uri>().ok().and_then(|uri| proxies.intercept(&uri));
    proxy.is_some_and(|proxy| matches!(proxy.uri().scheme_str(), Some("http" | "https")))
}

/// Follows no redirect by itself and keeps neither cookies nor connections.
fn plain(connect: Duration) -> ClientBuilder {
    Client::builder()
        .no_gzip()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(connect)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("triptych/", env!("CARGO_PKG_VERSION")))
}

fn built(builder: impl Fn() -> ClientBuilder) -> Result<Client, reqwest::Error> {
    // Fails if there is one already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    builder().build().or_else(|error| {
        // A container without root certificates can still fetch over http, and do everything else.
        tracing::warn!("nothing can be fetched from https addresses: {error}");
        builder().tls_certs_only([]).build()
    })
}

/// Whether a request failed because its name leads to no permitted address.
pub(super) fn is_not_public(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<NotPublic>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Resolves names and keeps the permitted addresses only.
#[derive(Debug)]
struct GuardedResolver(Guard);

#[derive(Debug, thiserror::Error)]
#[error("{NOT_PUBLIC}")]
struct NotPublic;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<_> = found.filter(|address| guard.permits(address.ip())).collect();
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
    fn a_proxy_holds_for_its_scheme_and_not_for_exceptions() {
        let https = Matcher::builder().https("http://10.0.0.1:3128").no("inside.example,192.168.0.0/16").build();
        let socks = Matcher::builder().all("socks5://10.0.0.1:1080").build();
        for (proxies, link, expected) in [
            (&https, "https://cdn.example/p.png?sign=a%2Fb", true),
            (&https, "https://cdn.example:8443/p.png", true),
            (&https, "http://cdn.example/p.png", false),
            (&https, "https://files.inside.example/p.png", false),
            (&https, "https://192.168.7.7/p.png", false),
            // Which clients here do not speak: direct, as without one.
            (&socks, "https://cdn.example/p.png", false),
        ] {
            assert_eq!(goes_by_proxy(proxies, &Url::parse(link).unwrap()), expected, "{link}");
        }
    }
}
