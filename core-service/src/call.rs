//! One call to a provider.

use futures_util::stream::BoxStream;

use crate::{context::RequestContext, error::ProviderError};

/// A stream of results from a provider. Dropping it closes the upstream request.
pub type Chunks<T> = BoxStream<'static, Result<T, ProviderError>>;

/// One call to a provider. Dropping the future or the stream that the provider returns cancels the call.
#[derive(Debug, Clone)]
pub struct Call<R> {
    /// The provider's name of the model.
    pub model: String,
    /// The validated request.
    pub request: R,
    /// The context of the client call.
    pub context: RequestContext,
}
