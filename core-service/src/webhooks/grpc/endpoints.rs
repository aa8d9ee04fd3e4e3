//! The methods that create and change endpoints.

use triptych_proto::v1 as pb;

use super::{WebhookGrpc, validate, view};
use crate::{
    error::Error,
    keys::{Caller, Owners},
    page_size,
    webhook_secret::WebhookSecret,
    webhooks::endpoint::Endpoint,
};

/// How many endpoints one owner can have: each costs a delivery per video.
const MAX_ENDPOINTS: u32 = 50;

impl WebhookGrpc {
    pub(super) async fn create(
        &self,
        request: pb::CreateWebhookEndpointRequest,
        caller: &Caller,
    ) -> Result<pb::CreateWebhookEndpointResponse, Error> {
        let pb::CreateWebhookEndpointRequest { url, event_types, name } = request;
        validate::url(&url, self.address_policy)?;
        validate::name(&name)?;
        let event_types = validate::event_types(&event_types)?;
        let store = &self.registry.store;
        let endpoint = Endpoint::new(caller.owner(), url, event_types, name, store.now());
        let secret = WebhookSecret::generate();
        if !store.insert_endpoint(&endpoint, &secret, MAX_ENDPOINTS).await? {
            let message = format!("must be one of at most {MAX_ENDPOINTS} endpoints; delete one that is not used");
            return Err(Error::invalid("url", message));
        }
        tracing::info!(webhook.endpoint = endpoint.id, "created a webhook endpoint");
        let endpoint = Endpoint { secrets: vec![secret.clone()], ..endpoint };
        Ok(pb::CreateWebhookEndpointResponse {
            endpoint: Some(view::endpoint(endpoint, caller)),
            secret: secret.to_text(),
        })
    }

    pub(super) async fn list(
        &self,
        request: &pb::ListWebhookEndpointsRequest,
        caller: &Caller,
    ) -> Result<pb::ListWebhookEndpointsResponse, Error> {
        let pb::ListWebhookEndpointsRequest { page_size, page_token } = request;
        let limit = page_size::validate(*page_size)? as usize;
        let mut endpoints = self.registry.list(&caller.owners()).await?;
        if !page_token.is_empty() {
            let last = endpoints.iter().position(|endpoint| endpoint.id == *page_token);
            let last = last.ok_or_else(|| {
                Error::invalid("page_token", "is not valid, or its endpoint was deleted; list again without page_token")
            })?;
            endpoints.drain(..=last);
        }
        let more = endpoints.len() > limit;
        endpoints.truncate(limit);
        let last = endpoints.last().filter(|_| more);
        let next_page_token = last.map(|endpoint| endpoint.id.clone()).unwrap_or_default();
        let endpoints = endpoints.into_iter().map(|endpoint| view::endpoint(endpoint, caller)).collect();
        Ok(pb::ListWebhookEndpointsResponse { endpoints, next_page_token })
    }

    pub(super) async fn update(
        &self,
        request: pb::UpdateWebhookEndpointRequest,
        owners: &Owners,
    ) -> Result<Endpoint, Error> {
        let pb::UpdateWebhookEndpointRequest { id, url, event_types, name, enabled } = request;
        let mut endpoint = self.registry.get(&id, owners).await?;
        let changed = [("url", url.is_some()), ("event_types", !event_types.is_empty()), ("name", name.is_some())];
        let changed = changed.into_iter().find(|(_, changed)| *changed).map(|(field, _)| field);
        if let Some(field) = changed {
            refuse_configured(&endpoint, field)?;
        }
        if let Some(url) = url {
            validate::url(&url, self.address_policy)?;
            endpoint.url = url;
        }
        if !event_types.is_empty() {
            endpoint.event_types = validate::event_types(&event_types)?;
        }
        if let Some(name) = name {
            validate::name(&name)?;
            endpoint.name = name;
        }
        let store = &self.registry.store;
        if changed.is_some() {
            store.update_endpoint(&endpoint).await?;
        }
        match enabled {
            Some(true) => store.enable_endpoint(&id).await?,
            Some(false) => store.disable_endpoint(&id, "disabled by a client").await?,
            None => {}
        }
        self.registry.get(&id, owners).await
    }

    pub(super) async fn delete(&self, id: &str, owners: &Owners) -> Result<(), Error> {
        refuse_configured(&self.registry.get(id, owners).await?, "id")?;
        self.registry.store.delete_endpoint(id).await?;
        tracing::info!(webhook.endpoint = id, "deleted a webhook endpoint");
        Ok(())
    }

    pub(super) async fn rotate(
        &self,
        request: &pb::RotateWebhookSecretRequest,
        caller: &Caller,
    ) -> Result<pb::RotateWebhookSecretResponse, Error> {
        let pb::RotateWebhookSecretRequest { id, overlap } = request;
        let owners = caller.owners();
        refuse_configured(&self.registry.get(id, &owners).await?, "id")?;
        let overlap = validate::overlap(overlap.as_ref())?;
        let secret = WebhookSecret::generate();
        let store = &self.registry.store;
        store.rotate_secret(id, &secret, store.now().after(overlap)).await?;
        let endpoint = self.registry.get(id, &owners).await?;
        Ok(pb::RotateWebhookSecretResponse {
            endpoint: Some(view::endpoint(endpoint, caller)),
            secret: secret.to_text(),
        })
    }
}

/// Fails for an endpoint of the configuration.
fn refuse_configured(endpoint: &Endpoint, field: &str) -> Result<(), Error> {
    if endpoint.owner.is_some() {
        return Ok(());
    }
    Err(Error::invalid(field, "belongs to an endpoint of the configuration; change `webhooks.endpoints` there"))
}
