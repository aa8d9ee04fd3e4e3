//! Callers of configured and stored keys, and changes of both while calls use them.

use std::time::Duration;

use tonic::{Code, Request};

use super::*;
use crate::on_disconnect::OnDisconnect;

const SECRET: &str = "0123456789abcdef";

fn key(name: &str, secret: &str) -> config::Key {
    config::Key { name: name.to_owned(), secret: Some(secret.into()), ..config::Key::default() }
}

fn with_authorization(authorization: &str) -> Request<()> {
    let mut request = Request::new(());
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    request
}

#[test]
fn without_keys_every_request_is_anonymous() {
    let keys = Keys::new(&[], &[]).unwrap();
    for request in [Request::new(()), with_authorization("Bearer anything"), with_authorization("")] {
        assert_eq!(keys.caller(&request), Ok(Caller::default()));
    }
}

#[test]
fn a_bearer_key_identifies_its_caller() {
    let grace = OnDisconnect::Grace(Duration::from_secs(5));
    let other = config::Key { on_disconnect: Some(grace), ..key("other", "fedcba9876543210") };
    let keys = Keys::new(&[key("one", SECRET), other], &[]).unwrap();
    for authorization in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef ", "BEARER 0123456789abcdef"] {
        let caller = keys.caller(&with_authorization(authorization)).unwrap();
        assert_eq!((caller.name(), caller.on_disconnect()), (Some("one"), None));
    }
    let caller = keys.caller(&with_authorization("Bearer fedcba9876543210")).unwrap();
    assert_eq!((caller.name(), caller.on_disconnect()), (Some("other"), Some(grace)));
}

#[test]
fn stored_work_is_continued_by_the_administrators_key_of_its_owner() {
    for order in [[false, true], [true, false]] {
        let configured = order.map(|admin| {
            let secret = if admin { SECRET } else { "fedcba9876543210" };
            config::Key { admin, ..key("one", secret) }
        });
        let keys = Keys::new(&configured, &[]).unwrap();
        assert!(keys.caller_of(&Owner::new("one")).unwrap().is_admin());
        assert_eq!(keys.caller_of(&Owner::new("two")), Err(Error::InvalidApiKey { present: true }));
    }
}

#[test]
fn budget_of_a_team_without_keys_is_listed() {
    let limits = config::AccountLimits { budget_total: crate::usd::Usd::parse("1"), ..Default::default() };
    let team = config::Team { name: "t".to_owned(), limits };
    let keys = Keys::new(&[key("one", SECRET)], &[team]).unwrap();
    assert_eq!(keys.budgets().len(), 1);
}

#[test]
fn missing_and_unknown_keys_are_rejected_with_different_messages() {
    let keys = Keys::new(&[key("one", SECRET)], &[]).unwrap();
    assert_eq!(keys.caller(&Request::new(())), Err(Error::InvalidApiKey { present: false }));
    for missing in ["", "Bearer", "Bearer ", SECRET, "Basic 0123456789abcdef", "Bearer0123456789abcdef"] {
        let error = keys.caller(&with_authorization(missing));
        assert_eq!(error, Err(Error::InvalidApiKey { present: false }), "{missing}");
    }
    let too_long = "a".repeat(MAX_SECRET_LENGTH + 1);
    for unknown in ["one", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123 456789abcdef", &too_long] {
        let error = keys.caller(&with_authorization(&format!("Bearer {unknown}"))).unwrap_err();
        assert_eq!(error, Error::InvalidApiKey { present: true }, "{unknown}");
        let status = tonic::Status::from(error);
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(!status.message().contains(unknown) || unknown == "one", "{status}");
    }
}

#[test]
fn a_name_can_have_several_secrets_but_a_secret_only_one_name() {
    let error = Keys::new(&[key("one", SECRET), key("two", SECRET)], &[]).unwrap_err();
    assert_eq!(error.to_string(), "keys: `two` has the secret of another key");
    let keys = Keys::new(&[key("one", SECRET), key("one", "the one that comes next")], &[]).unwrap();
    let (old, new) = ("Bearer 0123456789abcdef", "Bearer the one that comes next");
    assert_eq!(keys.caller(&with_authorization(old)).unwrap(), keys.caller(&with_authorization(new)).unwrap());
}

#[test]
fn debug_output_contains_names_but_no_secrets() {
    let text = format!("{:?} {:?}", key("one", SECRET), Keys::new(&[key("one", SECRET)], &[]).unwrap());
    assert!(text.contains("one") && !text.contains(SECRET), "{text}");
}

#[test]
fn replaced_keys_apply_to_all_clones_and_invalid_ones_change_nothing() {
    let keys = Keys::new(&[key("one", SECRET)], &[]).unwrap();
    let clone = keys.clone();
    keys.replace(&[key("two", "fedcba9876543210")], &[]).unwrap();
    let revoked = clone.caller(&with_authorization("Bearer 0123456789abcdef"));
    assert_eq!(revoked, Err(Error::InvalidApiKey { present: true }));
    assert!(keys.replace(&[config::Key { name: "three".to_owned(), ..config::Key::default() }], &[]).is_err());
    assert_eq!(clone.caller(&with_authorization("Bearer fedcba9876543210")).unwrap().name(), Some("two"));
}

#[test]
fn a_key_gives_access_to_its_own_owner_and_an_administrator_to_all() {
    let admin = config::Key { admin: true, ..key("root", "fedcba9876543210") };
    let keys = Keys::new(&[key("one", SECRET), admin], &[]).unwrap();
    let caller = keys.caller(&with_authorization("Bearer 0123456789abcdef")).unwrap();
    assert_eq!((caller.owners(), caller.is_admin()), (Owners::Only(Owner::new("one")), false));
    let owners = caller.owners();
    assert!(
        owners.include(&Owner::new("one")) && !owners.include(&Owner::new("on")) && !owners.include(&Owner::default())
    );
    let caller = keys.caller(&with_authorization("Bearer fedcba9876543210")).unwrap();
    assert_eq!((caller.owner(), caller.owners(), caller.is_admin()), (Owner::new("root"), Owners::All, true));
    // Without keys, jobs from the time with keys stay reachable.
    assert_eq!((Caller::default().owners(), Caller::default().is_admin()), (Owners::All, false));
}

#[test]
fn reload_keeps_the_state_of_unchanged_limits() {
    let limited = |requests_per_minute| config::Key {
        limits: config::AccountLimits { requests_per_minute, ..config::AccountLimits::default() },
        ..key("one", SECRET)
    };
    let keys = Keys::new(&[limited(1)], &[]).unwrap();
    let admit = || keys.find(Some(format!("Bearer {SECRET}").as_bytes())).unwrap().admit("m", || 0);
    assert!(admit().is_ok());
    keys.replace(&[limited(1)], &[]).unwrap();
    assert!(matches!(admit(), Err(Error::LimitExceeded(_))));
    keys.replace(&[limited(5)], &[]).unwrap();
    assert!(admit().is_ok(), "a new limit begins unused");
}

#[test]
fn jobs_in_flight_of_a_team_are_those_of_its_keys() {
    let limits = |jobs_in_flight| config::AccountLimits { jobs_in_flight, ..config::AccountLimits::default() };
    let member = |name, secret| config::Key { team: "t".to_owned(), ..key(name, secret) };
    let team = config::Team { name: "t".to_owned(), limits: limits(5) };
    let own = config::Key { limits: limits(2), ..member("one", SECRET) };
    let keys = Keys::new(&[own, member("two", "fedcba9876543210"), key("three", "0123456789abcdeX")], &[team]).unwrap();
    let caller = keys.find(Some(format!("Bearer {SECRET}").as_bytes())).unwrap();
    let [own, of_team] = caller.in_flight_limits() else { panic!("{caller:?}") };
    assert_eq!((own.limit, &*own.owners), (2, [Owner::new("one")].as_slice()));
    assert_eq!((of_team.limit, &*of_team.owners), (5, [Owner::new("one"), Owner::new("two")].as_slice()));
}

/// Returns a stored key with this secret.
fn stored(name: &str, secret: &str) -> StoredKey {
    let created = KeyChange { at: SystemTime::UNIX_EPOCH, by: "root".to_owned() };
    StoredKey {
        definition: KeyDefinition { name: name.to_owned(), ..KeyDefinition::default() },
        revision: 1,
        secret: Some(SecretDigest { digest: sha256(secret.as_bytes()), hint: String::new() }),
        previous_secret: None,
        expires_at: None,
        updated: created.clone(),
        created,
        revoked_at: None,
    }
}

fn next(key: &StoredKey) -> StoredKey {
    StoredKey { revision: key.revision + 1, ..key.clone() }
}

/// Returns the name of the caller with this secret.
fn found(keys: &Keys, secret: &str) -> Option<String> {
    found_at(keys, secret, SystemTime::UNIX_EPOCH)
}

fn found_at(keys: &Keys, secret: &str, now: SystemTime) -> Option<String> {
    let caller = keys.find_at(Some(format!("Bearer {secret}").as_bytes()), || now);
    caller.ok().map(|caller| caller.name().unwrap().to_owned())
}

#[test]
fn configured_keys_replace_stored_ones_with_their_name_or_secret() {
    let keys = Keys::new(&[key("one", SECRET)], &[]).unwrap();
    let (same_name, same_secret) = (stored("one", "secret-of-stored-one"), stored("two", SECRET));
    keys.load(vec![same_name, same_secret, stored("three", "secret-of-three")]);
    assert_eq!(found(&keys, SECRET).as_deref(), Some("one"));
    assert_eq!(found(&keys, "secret-of-stored-one"), None);
    assert_eq!(found(&keys, "secret-of-three").as_deref(), Some("three"));
    assert!(matches!(keys.record("one"), Some(KeyRecord::Configured(_))));
    let overridden: Vec<_> = keys.sources().overridden().into_iter().map(|key| (key.name, key.shared)).collect();
    assert_eq!(overridden, [("one".to_owned(), "name"), ("two".to_owned(), "secret")]);
    let names: Vec<_> = keys.records().iter().map(|record| record.definition().name.clone()).collect();
    assert_eq!(names, ["one", "three", "two"]);

    // A reload keeps the stored keys; those that are no longer overridden are valid again.
    keys.replace(&[], &[]).unwrap();
    assert_eq!(found(&keys, SECRET).as_deref(), Some("two"));
    assert_eq!(found(&keys, "secret-of-stored-one").as_deref(), Some("one"));
}

#[test]
fn expired_key_is_refused_and_still_makes_keys_required() {
    let keys = Keys::default();
    let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    keys.load(vec![StoredKey { expires_at: Some(expires_at), ..stored("one", SECRET) }]);
    assert_eq!(found_at(&keys, SECRET, expires_at - Duration::from_millis(1)).as_deref(), Some("one"));
    assert_eq!(found_at(&keys, SECRET, expires_at), None);
    let anonymous = keys.find_at(None, || expires_at);
    assert_eq!(anonymous, Err(Error::InvalidApiKey { present: false }));
}

#[test]
fn previous_secret_is_valid_until_the_end_of_the_overlap_or_of_the_key() {
    let keys = Keys::default();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let previous = SecretDigest { digest: sha256(b"the-previous-secret"), hint: String::new() };
    let rotated = StoredKey { previous_secret: Some((previous, at(100))), ..stored("one", SECRET) };
    keys.load(vec![rotated.clone()]);
    for (now, valid) in [(99, true), (100, false)] {
        assert_eq!(found_at(&keys, "the-previous-secret", at(now)).is_some(), valid, "{now}");
        assert!(found_at(&keys, SECRET, at(now)).is_some(), "{now}");
    }
    keys.apply(&StoredKey { expires_at: Some(at(50)), ..next(&rotated) });
    assert_eq!(found_at(&keys, "the-previous-secret", at(50)), None);
}

#[test]
fn revoking_the_last_key_does_not_open_the_server() {
    let keys = Keys::default();
    assert!(!keys.are_required());
    let key = stored("one", SECRET);
    keys.apply(&key);
    assert!(keys.are_required());
    keys.apply(&StoredKey { secret: None, revoked_at: Some(SystemTime::UNIX_EPOCH), ..next(&key) });
    assert_eq!((found(&keys, SECRET), keys.are_required()), (None, true));
    let anonymous = keys.find(None);
    assert_eq!(anonymous, Err(Error::InvalidApiKey { present: false }));
}

#[test]
fn changes_of_stored_keys_apply_at_once_and_keep_the_state_of_unchanged_limits() {
    let team = config::Team {
        name: "t".to_owned(),
        limits: config::AccountLimits { requests_per_minute: 3, jobs_in_flight: 5, ..Default::default() },
    };
    let configured = config::Key { team: "t".to_owned(), ..key("one", SECRET) };
    let keys = Keys::new(&[configured], &[team]).unwrap();
    let other = stored("two", "secret-of-two");
    let limits = config::AccountLimits { requests_per_minute: 2, ..Default::default() };
    let definition = KeyDefinition { team: "t".to_owned(), limits, ..other.definition.clone() };
    let other = StoredKey { definition, ..other };
    keys.apply(&other);
    let caller = || keys.find(Some(b"Bearer secret-of-two")).unwrap();
    let [InFlightLimit { owners, .. }] = caller().in_flight_limits().to_vec().try_into().unwrap();
    assert_eq!(*owners, [Owner::new("one"), Owner::new("two")], "the stored key is a member of the team");
    assert!(caller().admit("m", || 0).is_ok());

    // A new budget does not reset the rate limit.
    let mut richer = next(&other);
    richer.definition.limits.budget_total = crate::usd::Usd::parse("1");
    keys.apply(&richer);
    assert_eq!(keys.budgets().len(), 1);
    assert!(caller().admit("m", || 0).is_ok());
    assert!(
        matches!(caller().admit("m", || 0), Err(Error::LimitExceeded(exceeded)) if exceeded.subject == "key `two`")
    );
    let mut faster = next(&richer);
    faster.definition.limits.requests_per_minute = 9;
    keys.apply(&faster);
    // The team has one request left.
    assert!(caller().admit("m", || 0).is_ok());
    assert!(matches!(caller().admit("m", || 0), Err(Error::LimitExceeded(exceeded)) if exceeded.subject == "team `t`"));
}
