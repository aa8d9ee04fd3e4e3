//! All endpoints: those of the configuration and those that clients created.

use super::{
    delivery::Delivery,
    endpoint::{CALLBACK, Endpoint},
    store::{StoreError, WebhookStore},
};
use crate::{config::Webhooks, error::Error, keys::Owners, live::Live, webhook_secret::WebhookSecret};

/// The endpoints. Clones share them.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(super) store: WebhookStore,
    pub(super) settings: Live<Webhooks>,
}

/// Where a delivery is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeliveryTarget {
    pub(super) url: String,
    pub(super) secrets: Vec<WebhookSecret>,
}

impl Registry {
    /// Returns the endpoints of these settings and of this store.
    pub fn new(store: WebhookStore, settings: Live<Webhooks>) -> Self {
        Self { store, settings }
    }

    /// Returns the endpoints of the configuration with their states.
    pub(super) async fn configured(&self) -> Result<Vec<Endpoint>, StoreError> {
        let settings = self.settings.load();
        let mut endpoints: Vec<_> = settings.endpoints.iter().filter_map(Endpoint::configured).collect();
        for endpoint in &mut endpoints {
            endpoint.state = self.store.endpoint_state(&endpoint.id).await?;
        }
        Ok(endpoints)
    }

    /// Returns the endpoints that the caller sees: the newest first, those of the configuration last.
    pub(super) async fn list(&self, owners: &Owners) -> Result<Vec<Endpoint>, StoreError> {
        let mut endpoints = self.store.endpoints(owners).await?;
        if *owners == Owners::All {
            endpoints.extend(self.configured().await?);
        }
        Ok(endpoints)
    }

    /// Returns the endpoint with this id, if the caller sees it.
    ///
    /// # Errors
    /// [`Error::WebhookEndpointNotFound`].
    pub(super) async fn get(&self, id: &str, owners: &Owners) -> Result<Endpoint, Error> {
        let configured = if *owners == Owners::All { self.configured().await? } else { Vec::new() };
        let found = match configured.into_iter().find(|endpoint| endpoint.id == id) {
            Some(endpoint) => Some(endpoint),
            None => self.store.endpoint(id, owners).await?,
        };
        found.ok_or_else(|| Error::WebhookEndpointNotFound(id.to_owned()))
    }

    /// Returns where a delivery is sent at present; otherwise the reason why it is not sent at all.
    pub(super) async fn target(&self, delivery: &Delivery) -> Result<Result<DeliveryTarget, &'static str>, Error> {
        if delivery.endpoint_id == CALLBACK {
            let secret = self.settings.load().callback_secret();
            let target = secret.map(|secret| DeliveryTarget { url: delivery.url.clone(), secrets: vec![secret] });
            return Ok(target.ok_or("webhooks.callback_secret is not set any more"));
        }
        match self.get(&delivery.endpoint_id, &Owners::All).await {
            Ok(endpoint) if !endpoint.is_enabled() && !delivery.is_test => Ok(Err("the endpoint is disabled")),
            Ok(Endpoint { url, secrets, .. }) => Ok(Ok(DeliveryTarget { url, secrets })),
            Err(Error::WebhookEndpointNotFound(_)) => Ok(Err("the endpoint does not exist any more")),
            Err(error) => Err(error),
        }
    }
}
