//! The names of a model.

/// The id of the provider of all chat models of upstreams.
pub(crate) const UPSTREAM_PROVIDER_ID: &str = "upstream";

/// The names by which a price can refer to a model.
#[derive(Debug, Clone, Copy)]
pub struct ModelNames<'a> {
    /// The public name.
    pub public: &'a str,
    /// The name at the provider.
    pub upstream: &'a str,
    /// The id of the provider; `upstream` for all chat models of upstreams.
    pub provider: &'a str,
}
