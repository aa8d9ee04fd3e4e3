//! Who is let in, and what is told of them.

use std::time::Duration;

use tonic::{Code, Request};

use super::*;

const SECRET: &str = "0123456789abcdef";

fn key(name: &str, secret: &str) -> config::Key {
    config::Key { name: name.to_owned(), secret: Some(secret.into()), ..config::Key::default() }
}

fn showing(authorization: &str) -> Request<()> {
    let mut request = Request::new(());
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    request
}

#[test]
fn where_there_are_no_keys_nobody_is_asked() {
    let keys = Keys::new(&[]).unwrap();
    for request in [Request::new(()), showing("Bearer anything"), showing("")] {
        assert_eq!(keys.caller(&request), Ok(Caller::default()));
    }
}

#[test]
fn a_caller_is_known_by_the_key() {
    let grace = OnDisconnect::Grace(Duration::from_secs(5));
    let other = config::Key { on_disconnect: Some(grace), ..key("other", "fedcba9876543210") };
    let keys = Keys::new(&[key("one", SECRET), other]).unwrap();
    for shown in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef ", "BEARER 0123456789abcdef"] {
        let caller = keys.caller(&showing(shown)).unwrap();
        assert_eq!((caller.name(), caller.on_disconnect()), (Some("one"), None));
    }
    let caller = keys.caller(&showing("Bearer fedcba9876543210")).unwrap();
    assert_eq!((caller.name(), caller.on_disconnect()), (Some("other"), Some(grace)));
}

#[test]
fn everybody_else_is_refused_and_told_whether_a_key_was_seen() {
    let keys = Keys::new(&[key("one", SECRET)]).unwrap();
    assert_eq!(keys.caller(&Request::new(())), Err(Error::InvalidApiKey { shown: false }));
    for nothing in ["", "Bearer", "Bearer ", SECRET, "Basic 0123456789abcdef", "Bearer0123456789abcdef"] {
        assert_eq!(keys.caller(&showing(nothing)), Err(Error::InvalidApiKey { shown: false }), "{nothing}");
    }
    let long = "a".repeat(LONGEST_SECRET + 1);
    for wrong in ["one", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123 456789abcdef", &long] {
        let refused = keys.caller(&showing(&format!("Bearer {wrong}"))).unwrap_err();
        assert_eq!(refused, Error::InvalidApiKey { shown: true }, "{wrong}");
        let status = tonic::Status::from(refused);
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(!status.message().contains(wrong) || wrong == "one", "{status}");
    }
}

#[test]
fn a_secret_has_one_owner_and_an_owner_may_have_several() {
    let clash = Keys::new(&[key("one", SECRET), key("two", SECRET)]).unwrap_err();
    assert_eq!(clash.to_string(), "keys: `two` has the secret of another key");
    let keys = Keys::new(&[key("one", SECRET), key("one", "the one that comes next")]).unwrap();
    let (old, new) = ("Bearer 0123456789abcdef", "Bearer the one that comes next");
    assert_eq!(keys.caller(&showing(old)).unwrap(), keys.caller(&showing(new)).unwrap());
}

#[test]
fn a_secret_is_in_no_text_about_the_keys() {
    let text = format!("{:?} {:?}", key("one", SECRET), Keys::new(&[key("one", SECRET)]).unwrap());
    assert!(text.contains("one") && !text.contains(SECRET), "{text}");
}
