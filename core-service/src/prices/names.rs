//! The names of a model.

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
