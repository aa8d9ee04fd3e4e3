//! The methods for API keys. Their parameter `admin` is the name of the administrator's key that makes the call.

use triptych_proto::v1 as pb;

use super::{AdminGrpc, update, validate, view};
use crate::{
    admin::registry::now,
    error::Error,
    keys::{GeneratedSecret, KeyDefinition, KeyRecord, StoredKey},
    page_size,
};

impl AdminGrpc {
    pub(super) async fn create(
        &self,
        request: pb::CreateKeyRequest,
        admin: &str,
    ) -> Result<pb::CreateKeyResponse, Error> {
        let pb::CreateKeyRequest { name, team, admin: is_admin, on_disconnect, priority, limits, expire_time } =
            request;
        validate::name(&name)?;
        validate::team(&team, self.registry.keys())?;
        let expires_at = expire_time.map(validate::expire_time).transpose()?;
        if expires_at.is_some_and(|time| time <= now()) {
            return Err(Error::invalid("expire_time", "must be in the future"));
        }
        let definition = KeyDefinition {
            name,
            team,
            admin: is_admin,
            on_disconnect: on_disconnect.as_deref().map(validate::on_disconnect).transpose()?,
            priority: validate::priority(priority)?,
            limits: limits.map(validate::limits).transpose()?.unwrap_or_default(),
        };
        let (key, secret) = self.registry.create(definition, expires_at, admin).await?;
        tracing::info!(key = key.definition.name, admin, "created an API key");
        Ok(pb::CreateKeyResponse { key: Some(view::stored(key)), secret: secret.into_text() })
    }

    pub(super) fn list(&self, request: &pb::ListKeysRequest) -> Result<pb::ListKeysResponse, Error> {
        let pb::ListKeysRequest { page_size, page_token, include_revoked } = request;
        let limit = page_size::validate(*page_size)? as usize;
        let is_listed = |record: &KeyRecord| {
            let is_revoked = matches!(record, KeyRecord::Stored(StoredKey { revoked_at: Some(_), .. }));
            (*include_revoked || !is_revoked) && record.definition().name > *page_token
        };
        let mut records: Vec<_> = self.registry.keys().records().into_iter().filter(is_listed).collect();
        let more = records.len() > limit;
        records.truncate(limit);
        let last = records.last().filter(|_| more);
        let next_page_token = last.map(|record| record.definition().name.clone()).unwrap_or_default();
        Ok(pb::ListKeysResponse { keys: records.into_iter().map(view::record).collect(), next_page_token })
    }

    pub(super) async fn update(&self, request: &pb::UpdateKeyRequest, admin: &str) -> Result<StoredKey, Error> {
        let keys = self.registry.keys();
        let edit = |key: &mut StoredKey| update::apply(key, request, |team| validate::team(team, keys));
        let key = self.registry.change(&request.name, admin, edit).await?;
        let changed = request.update_mask.as_ref().map(|mask| mask.paths.join(","));
        tracing::info!(key = request.name, admin, changed, "changed an API key");
        Ok(key)
    }

    pub(super) async fn rotate(
        &self,
        request: &pb::RotateKeyRequest,
        admin: &str,
    ) -> Result<pb::RotateKeyResponse, Error> {
        let pb::RotateKeyRequest { name, overlap } = request;
        let overlap = validate::overlap(overlap.as_ref())?;
        let secret = GeneratedSecret::generate();
        let rotate = |key: &mut StoredKey| {
            let previous = key.secret.replace(secret.digest());
            key.previous_secret = previous.filter(|_| !overlap.is_zero()).map(|previous| (previous, now() + overlap));
            Ok(())
        };
        let key = self.registry.change(name, admin, rotate).await?;
        tracing::info!(key = name, admin, "replaced the secret of an API key");
        Ok(pb::RotateKeyResponse { key: Some(view::stored(key)), secret: secret.into_text() })
    }

    pub(super) async fn revoke(&self, name: &str, admin: &str) -> Result<StoredKey, Error> {
        let key = self.registry.revoke(name, admin).await?;
        tracing::info!(key = name, admin, "revoked an API key");
        Ok(key)
    }
}
