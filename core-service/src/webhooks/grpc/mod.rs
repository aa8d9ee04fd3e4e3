//! The gRPC service for webhooks: the endpoints of the caller, and their deliveries.

mod endpoints;
mod validate;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, webhook_service_server::WebhookService};

use super::{
    attempts::Attempts, delivery::Delivery, endpoint::CALLBACK, event::Event, registry::Registry, store::DeliveryFilter,
};
use crate::{
    config::WebhookEventType,
    context::RequestContext,
    error::Error,
    keys::{Keys, Owners},
    media::address_policy::AddressPolicy,
    page_size,
    video::jobs::Jobs,
};

/// Implements [`WebhookService`]. Clones share everything.
#[derive(Debug, Clone)]
pub struct WebhookGrpc {
    registry: Registry,
    attempts: Attempts,
    jobs: Jobs,
    address_policy: AddressPolicy,
    wake: Arc<Notify>,
    keys: Keys,
}

impl WebhookGrpc {
    /// Creates the service. `attempts` has the endpoints and the deliveries, `jobs` the videos that these are about; `wake` wakes the
    /// dispatcher.
    pub fn new(attempts: Attempts, jobs: Jobs, address_policy: AddressPolicy, wake: Arc<Notify>) -> Self {
        let registry = attempts.registry.clone();
        Self { registry, attempts, jobs, address_policy, wake, keys: Keys::default() }
    }

    /// Requires one of these keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Authenticates the caller. No method has an idempotency key.
    fn context<T>(&self, request: &Request<T>) -> Result<RequestContext, Error> {
        RequestContext::new(request, &self.keys, "")
    }

    /// Sends a test event to an endpoint at once, even if it is disabled, and returns the delivery with the result.
    async fn test(&self, request: &pb::TestWebhookEndpointRequest, owners: &Owners) -> Result<Delivery, Error> {
        let endpoint = self.registry.get(&request.id, owners).await?;
        let event_type = match request.event_type.as_str() {
            "" => WebhookEventType::VideoCompleted,
            name => validate::event_type("event_type", name)?,
        };
        let store = &self.registry.store;
        let now = store.now();
        let delivery = Delivery::to_endpoint(Event::test(event_type, now), &endpoint, now);
        let delivery = Delivery { is_test: true, ..delivery };
        let claim = store.insert_claimed(delivery, self.attempts.lease()).await?;
        self.attempts.perform(claim).await
    }

    async fn deliveries(
        &self,
        request: pb::ListWebhookDeliveriesRequest,
        owners: &Owners,
    ) -> Result<pb::ListWebhookDeliveriesResponse, Error> {
        let pb::ListWebhookDeliveriesRequest { endpoint_id, video_id, page_size, page_token } = request;
        let limit = page_size::validate(page_size)?;
        let filter = match (endpoint_id.as_str(), video_id.as_str()) {
            ("", "") => return Err(Error::invalid("endpoint_id", "is required, or video_id")),
            (CALLBACK, "") => DeliveryFilter::Endpoint(CALLBACK),
            (id, "") => {
                self.registry.get(id, owners).await?;
                DeliveryFilter::Endpoint(id)
            }
            ("", id) => {
                self.jobs.get(id, owners).await?;
                DeliveryFilter::Video(id)
            }
            (_, _) => return Err(Error::invalid("video_id", "excludes endpoint_id")),
        };
        let before = Some(page_token.as_str()).filter(|token| !token.is_empty());
        // One more than requested tells whether there is another page.
        let mut deliveries = self.registry.store.deliveries(filter, owners, before, limit + 1).await?;
        let more = deliveries.len() > limit as usize;
        deliveries.truncate(limit as usize);
        let last = deliveries.last().filter(|_| more);
        let next_page_token = last.map(|delivery| delivery.id.clone()).unwrap_or_default();
        Ok(pb::ListWebhookDeliveriesResponse {
            deliveries: deliveries.into_iter().map(view::delivery).collect(),
            next_page_token,
        })
    }

    /// Makes a delivery due again, unless there is no receiver for it any more.
    async fn redeliver(&self, request: pb::RedeliverWebhookRequest, owners: &Owners) -> Result<Delivery, Error> {
        let pb::RedeliverWebhookRequest { id, endpoint_id } = request;
        let store = &self.registry.store;
        let not_found = || Error::WebhookDeliveryNotFound(id.clone());
        let found = store.delivery(&id, owners).await?;
        let found = found.filter(|found| endpoint_id.is_empty() || found.endpoint_id == endpoint_id);
        if let Err(reason) = self.registry.target(&found.ok_or_else(not_found)?).await? {
            return Err(Error::invalid("id", format!("the delivery cannot be sent again: {reason}")));
        }
        let delivery = store.redeliver(&id).await?.ok_or_else(not_found)?;
        self.wake.notify_one();
        Ok(delivery)
    }
}

#[async_trait]
impl WebhookService for WebhookGrpc {
    async fn create_webhook_endpoint(
        &self,
        request: Request<pb::CreateWebhookEndpointRequest>,
    ) -> Result<Response<pb::CreateWebhookEndpointResponse>, Status> {
        let context = self.context(&request)?;
        let created = context.within(self.create(request.into_inner(), &context.caller)).await?;
        Ok(Response::new(created))
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<pb::GetWebhookEndpointRequest>,
    ) -> Result<Response<pb::GetWebhookEndpointResponse>, Status> {
        let context = self.context(&request)?;
        let owners = context.caller.owners();
        let endpoint = context.within(self.registry.get(&request.get_ref().id, &owners)).await?;
        let endpoint = Some(view::endpoint(endpoint, &context.caller));
        Ok(Response::new(pb::GetWebhookEndpointResponse { endpoint }))
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<pb::ListWebhookEndpointsRequest>,
    ) -> Result<Response<pb::ListWebhookEndpointsResponse>, Status> {
        let context = self.context(&request)?;
        let page = context.within(self.list(request.get_ref(), &context.caller)).await?;
        Ok(Response::new(page))
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<pb::UpdateWebhookEndpointRequest>,
    ) -> Result<Response<pb::UpdateWebhookEndpointResponse>, Status> {
        let context = self.context(&request)?;
        let endpoint = context.within(self.update(request.into_inner(), &context.caller.owners())).await?;
        let endpoint = Some(view::endpoint(endpoint, &context.caller));
        Ok(Response::new(pb::UpdateWebhookEndpointResponse { endpoint }))
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<pb::DeleteWebhookEndpointRequest>,
    ) -> Result<Response<pb::DeleteWebhookEndpointResponse>, Status> {
        let context = self.context(&request)?;
        let pb::DeleteWebhookEndpointRequest { id } = request.into_inner();
        context.within(self.delete(&id, &context.caller.owners())).await?;
        Ok(Response::new(pb::DeleteWebhookEndpointResponse { id }))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<Response<pb::RotateWebhookSecretResponse>, Status> {
        let context = self.context(&request)?;
        let rotated = context.within(self.rotate(request.get_ref(), &context.caller)).await?;
        Ok(Response::new(rotated))
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<pb::TestWebhookEndpointRequest>,
    ) -> Result<Response<pb::TestWebhookEndpointResponse>, Status> {
        let context = self.context(&request)?;
        let delivery = context.within(self.test(request.get_ref(), &context.caller.owners())).await?;
        Ok(Response::new(pb::TestWebhookEndpointResponse { delivery: Some(view::delivery(delivery)) }))
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Result<Response<pb::ListWebhookDeliveriesResponse>, Status> {
        let context = self.context(&request)?;
        let page = context.within(self.deliveries(request.into_inner(), &context.caller.owners())).await?;
        Ok(Response::new(page))
    }

    async fn list_webhook_event_types(
        &self,
        request: Request<pb::ListWebhookEventTypesRequest>,
    ) -> Result<Response<pb::ListWebhookEventTypesResponse>, Status> {
        self.keys.caller(&request)?;
        let event_types = WebhookEventType::ALL.map(|event_type| event_type.as_str().to_owned()).to_vec();
        Ok(Response::new(pb::ListWebhookEventTypesResponse { event_types }))
    }

    async fn redeliver_webhook(
        &self,
        request: Request<pb::RedeliverWebhookRequest>,
    ) -> Result<Response<pb::RedeliverWebhookResponse>, Status> {
        let context = self.context(&request)?;
        let delivery = context.within(self.redeliver(request.into_inner(), &context.caller.owners())).await?;
        Ok(Response::new(pb::RedeliverWebhookResponse { delivery: Some(view::delivery(delivery)) }))
    }
}
