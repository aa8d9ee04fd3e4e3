//! The administration service of the stub: the key `alice`, and the hold `video_1`; every name and id is accepted.

use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, admin_service_server::AdminService};

use super::CoreStub;

fn time(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn key() -> pb::ApiKey {
    pb::ApiKey {
        name: "alice".to_owned(),
        origin: pb::api_key::Origin::Stored.into(),
        team: "research".to_owned(),
        on_disconnect: Some("10s".to_owned()),
        priority: pb::api_key::Priority::High.into(),
        limits: Some(pb::KeyLimits {
            models: vec!["gpt-*".to_owned()],
            requests_per_minute: 60,
            budget_total_micros: Some(12_500_000),
            ..pb::KeyLimits::default()
        }),
        secret_hint: "abcd".to_owned(),
        create_time: Some(time(1_700_000_000)),
        created_by: "root".to_owned(),
        update_time: Some(time(1_700_000_001)),
        updated_by: "root".to_owned(),
        previous_secret_expire_time: Some(time(1_700_000_002)),
        ..pb::ApiKey::default()
    }
}

fn hold() -> pb::Hold {
    pb::Hold {
        id: "video_1".to_owned(),
        video_id: "video_1".to_owned(),
        state: pb::hold::State::OutcomeUnknown.into(),
        key: "alice".to_owned(),
        amount_micros: 3_200_000,
        create_time: Some(time(1_700_000_003)),
        ..pb::Hold::default()
    }
}

impl CoreStub {
    /// Records the message of a call for administrators.
    fn receive_admin<T: std::fmt::Debug>(&self, request: Request<T>) -> Result<(), Status> {
        let message = self.receive(request)?;
        self.with(|state| state.admin_request = format!("{message:?}"));
        Ok(())
    }
}

#[tonic::async_trait]
impl AdminService for CoreStub {
    async fn create_key(
        &self,
        request: Request<pb::CreateKeyRequest>,
    ) -> Result<Response<pb::CreateKeyResponse>, Status> {
        self.receive_admin(request)?;
        Ok(self.reply(pb::CreateKeyResponse { key: Some(key()), secret: "sk-trp-1".to_owned() }))
    }

    async fn get_key(&self, request: Request<pb::GetKeyRequest>) -> Result<Response<pb::GetKeyResponse>, Status> {
        self.receive_admin(request)?;
        Ok(self.reply(pb::GetKeyResponse { key: Some(key()) }))
    }

    async fn list_keys(&self, request: Request<pb::ListKeysRequest>) -> Result<Response<pb::ListKeysResponse>, Status> {
        self.receive_admin(request)?;
        let keys = vec![key()];
        Ok(self.reply(pb::ListKeysResponse { keys, next_page_token: "alice".to_owned() }))
    }

    async fn update_key(
        &self,
        request: Request<pb::UpdateKeyRequest>,
    ) -> Result<Response<pb::UpdateKeyResponse>, Status> {
        self.receive_admin(request)?;
        Ok(self.reply(pb::UpdateKeyResponse { key: Some(key()) }))
    }

    async fn rotate_key(
        &self,
        request: Request<pb::RotateKeyRequest>,
    ) -> Result<Response<pb::RotateKeyResponse>, Status> {
        self.receive_admin(request)?;
        Ok(self.reply(pb::RotateKeyResponse { key: Some(key()), secret: "sk-trp-2".to_owned() }))
    }

    async fn revoke_key(
        &self,
        request: Request<pb::RevokeKeyRequest>,
    ) -> Result<Response<pb::RevokeKeyResponse>, Status> {
        self.receive_admin(request)?;
        Ok(self.reply(pb::RevokeKeyResponse { key: Some(key()) }))
    }

    async fn verify_ledger(
        &self,
        request: Request<pb::VerifyLedgerRequest>,
    ) -> Result<Response<pb::VerifyLedgerResponse>, Status> {
        self.receive_admin(request)?;
        let discrepancy = pb::LedgerDiscrepancy {
            subject: "spent by key:alice".to_owned(),
            stored_micros: 1_000_000,
            sum_micros: 2_000_000,
        };
        Ok(self.reply(pb::VerifyLedgerResponse { discrepancies: vec![discrepancy] }))
    }

    async fn list_holds(
        &self,
        request: Request<pb::ListHoldsRequest>,
    ) -> Result<Response<pb::ListHoldsResponse>, Status> {
        self.receive_admin(request)?;
        Ok(self.reply(pb::ListHoldsResponse { holds: vec![hold()], next_page_token: String::new() }))
    }

    async fn resolve_hold(
        &self,
        request: Request<pb::ResolveHoldRequest>,
    ) -> Result<Response<pb::ResolveHoldResponse>, Status> {
        self.receive_admin(request)?;
        Ok(self.reply(pb::ResolveHoldResponse { hold: Some(hold()), cost_micros: 700_000 }))
    }
}
