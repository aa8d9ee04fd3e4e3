//! Tests of the registry, the field mask and the validation, with the memory store.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use prost_types::FieldMask;
use triptych_proto::v1 as pb;

use super::{update, validate};
use crate::{
    admin::{
        registry::{KeyRegistry, now},
        store::memory::MemoryKeyStore,
    },
    config,
    error::Error,
    keys::{KeyDefinition, Keys, StoredKey},
    priority::Priority,
    usd::Usd,
};

async fn registry() -> KeyRegistry {
    let configured =
        config::Key { name: "root".to_owned(), secret: Some("0123456789abcdef".into()), ..config::Key::default() };
    let keys = Keys::new(&[configured], &[config::Team { name: "t".to_owned(), ..config::Team::default() }]).unwrap();
    KeyRegistry::open(Arc::new(MemoryKeyStore::new(keys.clone())), keys).await.unwrap()
}

fn definition(name: &str) -> KeyDefinition {
    KeyDefinition { name: name.to_owned(), ..KeyDefinition::default() }
}

async fn create(registry: &KeyRegistry, name: &str) -> Result<StoredKey, Error> {
    registry.create(definition(name), None, "root").await.map(|(key, _)| key)
}

fn taken_by(result: Result<StoredKey, Error>) -> &'static str {
    match result {
        Err(Error::KeyExists { taken_by, .. }) => taken_by,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn name_of_a_configured_an_existing_or_a_revoked_key_is_taken() {
    let registry = registry().await;
    let created = create(&registry, "alice").await.unwrap();
    assert_eq!((created.created.by.as_str(), created.revision), ("root", 1));
    assert_eq!(taken_by(create(&registry, "root").await), "a key of the configuration");
    assert_eq!(taken_by(create(&registry, "alice").await), "another key");
    let revoked = registry.revoke("alice", "root").await.unwrap();
    assert!(revoked.revoked_at.is_some() && revoked.secret.is_none());
    assert_eq!(taken_by(create(&registry, "alice").await), "a key that was revoked");
    // A revocation can be repeated, and is final.
    assert_eq!(registry.revoke("alice", "other").await, Ok(revoked));
    let error = registry.change("alice", "root", |_| Ok(())).await.unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
}

#[tokio::test]
async fn configured_keys_cannot_be_changed_and_unknown_ones_do_not_exist() {
    let registry = registry().await;
    let error = registry.change("root", "root", |_| Ok(())).await.unwrap_err();
    assert!(error.to_string().contains("setting `keys`"), "{error}");
    assert!(registry.revoke("root", "root").await.unwrap_err().to_string().contains("setting `keys`"));
    assert_eq!(registry.revoke("bob", "root").await, Err(Error::KeyNotFound("bob".to_owned())));
}

#[tokio::test]
async fn concurrent_changes_are_all_applied() {
    let registry = registry().await;
    create(&registry, "alice").await.unwrap();
    let changes = (0..8).map(|index| {
        let registry = &registry;
        registry.change("alice", "root", move |key| {
            key.definition.limits.models.push(format!("m{index}"));
            Ok(())
        })
    });
    let results = futures_util::future::join_all(changes).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let record = registry.get("alice").await.unwrap();
    assert_eq!(record.definition().limits.models.len(), 8);
}

fn masked(paths: &[&str], request: pb::UpdateKeyRequest) -> pb::UpdateKeyRequest {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    pb::UpdateKeyRequest { update_mask: Some(FieldMask { paths }), ..request }
}

#[tokio::test]
async fn update_changes_the_fields_of_the_mask_only() {
    let registry = registry().await;
    let mut key = create(&registry, "alice").await.unwrap();
    let apply = |key: &mut StoredKey, request: &pb::UpdateKeyRequest| {
        update::apply(key, request, |team| validate::team(team, registry.keys()))
    };
    let full = pb::UpdateKeyRequest {
        team: "t".to_owned(),
        admin: true,
        on_disconnect: Some("10s".to_owned()),
        priority: pb::api_key::Priority::High.into(),
        limits: Some(pb::KeyLimits {
            models: vec!["m".to_owned()],
            requests_per_minute: 1,
            budget_total_micros: Some(5),
            ..pb::KeyLimits::default()
        }),
        expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 2_999_999 }),
        ..pb::UpdateKeyRequest::default()
    };
    apply(&mut key, &masked(&["team", "limits.budget_total_micros"], full.clone())).unwrap();
    assert_eq!((key.definition.team.as_str(), key.definition.admin), ("t", false));
    assert_eq!(key.definition.priority, Priority::Normal);
    let limits = &key.definition.limits;
    assert_eq!((limits.budget_total, limits.requests_per_minute), (Some(Usd::from_micros(5)), 0));
    apply(&mut key, &masked(&["limits", "admin", "on_disconnect", "priority", "expire_time"], full.clone())).unwrap();
    assert_eq!((key.definition.limits.requests_per_minute, key.definition.admin), (1, true));
    assert_eq!(key.definition.priority, Priority::High);
    assert_eq!(key.expires_at, Some(UNIX_EPOCH + Duration::from_millis(1002)));
    // A field that is named and not set is removed.
    let removed =
        masked(&["limits.budget_total_micros", "team", "priority", "expire_time"], pb::UpdateKeyRequest::default());
    apply(&mut key, &removed).unwrap();
    assert_eq!((key.definition.limits.budget_total, key.expires_at), (None, None));
    assert_eq!(key.definition.priority, Priority::Normal);
    assert_eq!((key.definition.team.as_str(), key.definition.limits.requests_per_minute), ("", 1));

    for (request, field) in [
        (full.clone(), "update_mask"),
        (masked(&["team", "name"], full.clone()), "update_mask.paths[1]"),
        (masked(&["team"], pb::UpdateKeyRequest { team: "x".to_owned(), ..full.clone() }), "team"),
        (masked(&["priority"], pb::UpdateKeyRequest { priority: 4, ..full }), "priority"),
    ] {
        let error = apply(&mut key, &request).unwrap_err();
        assert!(matches!(&error, Error::InvalidField { field: found, .. } if found == field), "{error}");
    }
}

#[test]
fn name_overlap_time_and_limits_out_of_bounds_are_rejected() {
    assert!(validate::name("a.b_c-1").is_ok());
    for wrong in ["", "a b", "a/b", "ä", &"a".repeat(65)] {
        assert!(validate::name(wrong).is_err(), "{wrong}");
    }
    let seconds = |seconds| prost_types::Duration { seconds, nanos: 0 };
    assert_eq!(validate::overlap(None), Ok(Duration::ZERO));
    assert_eq!(validate::overlap(Some(&seconds(604_800))), Ok(Duration::from_hours(168)));
    assert!(validate::overlap(Some(&seconds(604_801))).is_err() && validate::overlap(Some(&seconds(-1))).is_err());
    assert!(validate::expire_time(prost_types::Timestamp { seconds: -1, nanos: 0 }).is_err());
    assert!(validate::expire_time(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }).is_err());
    let time = now();
    assert_eq!(validate::expire_time(time.into()), Ok(time));
    let limits = |limits: pb::KeyLimits| validate::limits(limits).unwrap_err().to_string();
    let negative = limits(pb::KeyLimits { budget_per_day_micros: Some(-1), ..pb::KeyLimits::default() });
    assert!(negative.starts_with("limits.budget_per_day_micros: must not be negative"), "{negative}");
    let empty = limits(pb::KeyLimits { models: vec!["m".to_owned(), String::new()], ..pb::KeyLimits::default() });
    assert!(empty.starts_with("limits.models[1]: "), "{empty}");
    let many = limits(pb::KeyLimits { models: vec!["m".to_owned(); 101], ..pb::KeyLimits::default() });
    assert!(many.starts_with("limits.models: must have at most 100"), "{many}");
}
