use std::time::Duration;

use tonic::{Code, Request};

use super::*;

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
    assert_eq!((own.limit, own.owners.as_slice()), (2, [Owner::new("one")].as_slice()));
    assert_eq!((of_team.limit, of_team.owners.as_slice()), (5, [Owner::new("one"), Owner::new("two")].as_slice()));
}
