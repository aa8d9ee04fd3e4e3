//! The gRPC service for administrators: API keys, and the repair of the ledger (the record of spent and reserved money).

mod keys;
mod ledger;
#[cfg(test)]
mod tests;
mod update;
mod validate;
mod view;

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, admin_service_server::AdminService};

use super::registry::KeyRegistry;
use crate::{context::RequestContext, error::Error, ledger::LedgerStore, video::jobs::Jobs};

/// Implements [`AdminService`]. Clones share everything.
#[derive(Debug, Clone)]
pub struct AdminGrpc {
    registry: KeyRegistry,
    ledger: LedgerStore,
    /// The video jobs, for which the ledger reserves money.
    jobs: Jobs,
}

impl AdminGrpc {
    /// Serves the keys of this registry and this ledger, in which `jobs` reserve money.
    pub fn new(registry: KeyRegistry, ledger: LedgerStore, jobs: Jobs) -> Self {
        Self { registry, ledger, jobs }
    }

    /// Authenticates an administrator. Returns the context of the call with the name of its key.
    ///
    /// # Errors
    /// [`Error::InvalidApiKey`]; [`Error::PermissionDenied`] for other callers, and for all callers if no keys are configured.
    fn admin<T>(&self, request: &Request<T>) -> Result<(RequestContext, String), Error> {
        // No method has an idempotency key.
        let context = RequestContext::new(request, self.registry.keys(), "")?;
        match context.caller.name() {
            Some(name) if context.caller.is_admin() => {
                let name = name.to_owned();
                Ok((context, name))
            }
            Some(name) => Err(Error::PermissionDenied(format!(
                "the key `{name}` is not the key of an administrator; only those may use AdminService (/admin/v1)"
            ))),
            None => Err(Error::PermissionDenied(
                "no API keys are configured, so that every call is anonymous; a first key that was created here would lock out \
                 all other callers. Add the key of an administrator to the setting `keys`, for example \
                 TRIPTYCH_KEYS=NAME+admin:SECRET, and use that one"
                    .to_owned(),
            )),
        }
    }
}

#[async_trait]
impl AdminService for AdminGrpc {
    async fn create_key(
        &self,
        request: Request<pb::CreateKeyRequest>,
    ) -> Result<Response<pb::CreateKeyResponse>, Status> {
        let (context, admin) = self.admin(&request)?;
        Ok(Response::new(context.within(self.create(request.into_inner(), &admin)).await?))
    }

    async fn get_key(&self, request: Request<pb::GetKeyRequest>) -> Result<Response<pb::GetKeyResponse>, Status> {
        self.admin(&request)?;
        let record = self.registry.get(&request.get_ref().name).await?;
        Ok(Response::new(pb::GetKeyResponse { key: Some(view::record(record)) }))
    }

    async fn list_keys(&self, request: Request<pb::ListKeysRequest>) -> Result<Response<pb::ListKeysResponse>, Status> {
        self.admin(&request)?;
        Ok(Response::new(self.list(request.get_ref())?))
    }

    async fn update_key(
        &self,
        request: Request<pb::UpdateKeyRequest>,
    ) -> Result<Response<pb::UpdateKeyResponse>, Status> {
        let (context, admin) = self.admin(&request)?;
        let key = context.within(self.update(request.get_ref(), &admin)).await?;
        Ok(Response::new(pb::UpdateKeyResponse { key: Some(view::stored(key)) }))
    }

    async fn rotate_key(
        &self,
        request: Request<pb::RotateKeyRequest>,
    ) -> Result<Response<pb::RotateKeyResponse>, Status> {
        let (context, admin) = self.admin(&request)?;
        Ok(Response::new(context.within(self.rotate(request.get_ref(), &admin)).await?))
    }

    async fn revoke_key(
        &self,
        request: Request<pb::RevokeKeyRequest>,
    ) -> Result<Response<pb::RevokeKeyResponse>, Status> {
        let (context, admin) = self.admin(&request)?;
        let key = context.within(self.revoke(&request.get_ref().name, &admin)).await?;
        Ok(Response::new(pb::RevokeKeyResponse { key: Some(view::stored(key)) }))
    }

    async fn verify_ledger(
        &self,
        request: Request<pb::VerifyLedgerRequest>,
    ) -> Result<Response<pb::VerifyLedgerResponse>, Status> {
        let (context, _) = self.admin(&request)?;
        let discrepancies = context.within(self.ledger.verify()).await?;
        let discrepancies = discrepancies.into_iter().map(view::discrepancy).collect();
        Ok(Response::new(pb::VerifyLedgerResponse { discrepancies }))
    }

    async fn list_holds(
        &self,
        request: Request<pb::ListHoldsRequest>,
    ) -> Result<Response<pb::ListHoldsResponse>, Status> {
        let (context, _) = self.admin(&request)?;
        Ok(Response::new(context.within(self.holds(request.into_inner())).await?))
    }

    async fn resolve_hold(
        &self,
        request: Request<pb::ResolveHoldRequest>,
    ) -> Result<Response<pb::ResolveHoldResponse>, Status> {
        let (context, admin) = self.admin(&request)?;
        Ok(Response::new(context.within(self.resolve(request.into_inner(), &admin)).await?))
    }
}
