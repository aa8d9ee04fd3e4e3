//! The webhook service of the stub. The only endpoint is `whe_1`, with one delivery, `whd_1`, but every id is accepted.

use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, webhook_service_server::WebhookService};

use super::CoreStub;

fn time(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn endpoint(id: String) -> pb::WebhookEndpoint {
    pb::WebhookEndpoint {
        id,
        url: "https://a.test/hook".to_owned(),
        event_types: vec!["video.completed".to_owned()],
        name: "n".to_owned(),
        secret_hint: "whsec_...abcd".to_owned(),
        enabled: false,
        disabled_reason: "every attempt has failed for five days".to_owned(),
        create_time: Some(time(1_700_000_000)),
        failing_since: Some(time(1_700_000_001)),
        previous_secret_expire_time: Some(time(1_700_000_002)),
        ..pb::WebhookEndpoint::default()
    }
}

fn delivery(id: String) -> pb::WebhookDelivery {
    let attempt = pb::WebhookAttempt {
        start_time: Some(time(1_700_000_003)),
        duration: Some(prost_types::Duration { seconds: 1, nanos: 5_000_000 }),
        http_status: Some(500),
        error: "the receiver responded with status 500".to_owned(),
    };
    pb::WebhookDelivery {
        id,
        event_id: "evt_1".to_owned(),
        event_type: "video.failed".to_owned(),
        video_id: "video_1".to_owned(),
        endpoint_id: "whe_1".to_owned(),
        url: "https://a.test/hook".to_owned(),
        state: pb::webhook_delivery::State::Pending.into(),
        attempts: vec![attempt],
        create_time: Some(time(1_700_000_002)),
        next_attempt_time: Some(time(1_700_000_008)),
        ..pb::WebhookDelivery::default()
    }
}

#[tonic::async_trait]
impl WebhookService for CoreStub {
    async fn create_webhook_endpoint(
        &self,
        request: Request<pb::CreateWebhookEndpointRequest>,
    ) -> Result<Response<pb::CreateWebhookEndpointResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.webhook_request = format!("{message:?}"));
        let endpoint = Some(endpoint("whe_1".to_owned()));
        Ok(self.reply(pb::CreateWebhookEndpointResponse { endpoint, secret: "whsec_1".to_owned() }))
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<pb::GetWebhookEndpointRequest>,
    ) -> Result<Response<pb::GetWebhookEndpointResponse>, Status> {
        let endpoint = Some(endpoint(self.receive(request)?.id));
        Ok(self.reply(pb::GetWebhookEndpointResponse { endpoint }))
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<pb::ListWebhookEndpointsRequest>,
    ) -> Result<Response<pb::ListWebhookEndpointsResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.webhook_request = format!("{message:?}"));
        let endpoints = vec![endpoint("whe_1".to_owned())];
        Ok(self.reply(pb::ListWebhookEndpointsResponse { endpoints, next_page_token: "whe_1".to_owned() }))
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<pb::UpdateWebhookEndpointRequest>,
    ) -> Result<Response<pb::UpdateWebhookEndpointResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.webhook_request = format!("{message:?}"));
        Ok(self.reply(pb::UpdateWebhookEndpointResponse { endpoint: Some(endpoint(message.id)) }))
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<pb::DeleteWebhookEndpointRequest>,
    ) -> Result<Response<pb::DeleteWebhookEndpointResponse>, Status> {
        let message = self.receive(request)?;
        Ok(self.reply(pb::DeleteWebhookEndpointResponse { id: message.id }))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<Response<pb::RotateWebhookSecretResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.webhook_request = format!("{message:?}"));
        let endpoint = Some(endpoint(message.id));
        Ok(self.reply(pb::RotateWebhookSecretResponse { endpoint, secret: "whsec_2".to_owned() }))
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<pb::TestWebhookEndpointRequest>,
    ) -> Result<Response<pb::TestWebhookEndpointResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.webhook_request = format!("{message:?}"));
        Ok(self.reply(pb::TestWebhookEndpointResponse { delivery: Some(delivery("whd_1".to_owned())) }))
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Result<Response<pb::ListWebhookDeliveriesResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.webhook_request = format!("{message:?}"));
        let deliveries = vec![delivery("whd_1".to_owned())];
        Ok(self.reply(pb::ListWebhookDeliveriesResponse { deliveries, next_page_token: String::new() }))
    }

    async fn list_webhook_event_types(
        &self,
        request: Request<pb::ListWebhookEventTypesRequest>,
    ) -> Result<Response<pb::ListWebhookEventTypesResponse>, Status> {
        self.receive(request)?;
        let event_types = vec!["video.completed".to_owned()];
        Ok(self.reply(pb::ListWebhookEventTypesResponse { event_types }))
    }

    async fn redeliver_webhook(
        &self,
        request: Request<pb::RedeliverWebhookRequest>,
    ) -> Result<Response<pb::RedeliverWebhookResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.webhook_request = format!("{message:?}"));
        Ok(self.reply(pb::RedeliverWebhookResponse { delivery: Some(delivery(message.id)) }))
    }
}
