//! The health service of the stub: serving, unless the test has set another status or makes every call fail.

use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use super::CoreStub;
use crate::core_client::ReplyStream;

#[tonic::async_trait]
impl Health for CoreStub {
    type WatchStream = ReplyStream<HealthCheckResponse>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.receive(request)?;
        let status =
            if self.with(|state| state.is_not_serving) { ServingStatus::NotServing } else { ServingStatus::Serving };
        Ok(self.reply(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }
}
