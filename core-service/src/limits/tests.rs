//! Tests of admission by the limits of a key and its team. The last argument of `admit` returns the estimated tokens of the call.

use super::*;

fn limiter(subject: &str, settings: &AccountLimits) -> Arc<Limiter> {
    Limiter::new(subject.to_owned(), settings, NodeCount::default()).unwrap()
}

/// Returns the exceeded limit and its subject.
fn exceeded(result: Result<Admission, Error>) -> (String, &'static str) {
    match result {
        Err(Error::LimitExceeded(exceeded)) => (exceeded.subject, exceeded.limit),
        other => panic!("{other:?}"),
    }
}

#[test]
fn call_without_limits_is_always_admitted() {
    assert!(Limiter::new("key `a`".to_owned(), &AccountLimits::default(), NodeCount::default()).is_none());
    let admission = admit(&[], "m", || unreachable!("nothing counts tokens")).unwrap();
    assert!(!admission.is_limited() && admission.state().is_none());
}

#[test]
fn limits_of_key_and_team_both_hold() {
    let team = AccountLimits { requests_per_minute: 3, ..AccountLimits::default() };
    let team = limiter("team `t`", &team);
    let own = AccountLimits { requests_per_minute: 2, ..AccountLimits::default() };
    let one = [limiter("key `1`", &own), Arc::clone(&team)];
    let two = [limiter("key `2`", &own), team];
    let first = admit(&one, "m", || 0).unwrap();
    let state = first.state().unwrap().requests.unwrap();
    assert_eq!((state.limit, state.remaining), (2, 1), "the key has less left");
    admit(&one, "m", || 0).unwrap();
    assert_eq!(exceeded(admit(&one, "m", || 0)), ("key `1`".to_owned(), "requests_per_minute"));
    let last = admit(&two, "m", || 0).unwrap();
    assert_eq!(last.state().unwrap().requests.unwrap().remaining, 0, "the team has less left");
    assert_eq!(exceeded(admit(&two, "m", || 0)), ("team `t`".to_owned(), "requests_per_minute"));
}

#[test]
fn model_must_match_a_pattern() {
    let models = AccountLimits { models: vec!["gpt-*".to_owned(), "qwen3".to_owned()], ..AccountLimits::default() };
    let limiters = [limiter("key `1`", &models)];
    assert!(admit(&limiters, "gpt-4o", || 0).is_ok() && admit(&limiters, "qwen3", || 0).is_ok());
    let refused = admit(&limiters, "veo", || 0).unwrap_err();
    assert_eq!(refused, Error::ModelNotAllowed { model: "veo".to_owned(), subject: "key `1`".to_owned() });
}

#[test]
fn call_is_in_flight_until_its_last_clone_is_dropped() {
    let one_call = AccountLimits { concurrent_calls: 1, ..AccountLimits::default() };
    let limiters = [limiter("key `1`", &one_call)];
    let first = admit(&limiters, "m", || 0).unwrap();
    let clone = first.clone();
    drop(first);
    assert_eq!(exceeded(admit(&limiters, "m", || 0)), ("key `1`".to_owned(), "concurrent_calls"));
    drop(clone);
    assert!(admit(&limiters, "m", || 0).is_ok());
}

#[test]
fn tokens_are_estimated_first_and_settled_by_the_usage() {
    let tokens = AccountLimits { tokens_per_minute: 10_000, ..AccountLimits::default() };
    let limiters = [limiter("key `1`", &tokens)];
    let admission = admit(&limiters, "m", || 1000).unwrap();
    assert_eq!(admission.state().unwrap().tokens.unwrap().remaining, 9000);
    // Less than the estimate changes nothing.
    admission.record_tokens(10);
    admission.record_tokens(8000);
    let remaining = admit(&limiters, "m", || 1).unwrap().state().unwrap().tokens.unwrap().remaining;
    assert!((1999..2100).contains(&remaining), "{remaining}");
    assert_eq!(exceeded(admit(&limiters, "m", || 5000)), ("key `1`".to_owned(), "tokens_per_minute"));
    let never = admit(&limiters, "m", || 10_001).unwrap_err();
    assert!(
        matches!(&never, Error::InvalidField { message, .. } if message.contains("10000 tokens per minute")),
        "{never}"
    );
}

/// Returns how many calls in a row a node of four admits.
fn admitted_by_one_of_four(settings: &AccountLimits, tokens: u32) -> usize {
    let nodes = NodeCount::default();
    nodes.set(4);
    let limiters = [Limiter::new("key `1`".to_owned(), settings, nodes).unwrap()];
    (0..100).map_while(|_| admit(&limiters, "m", || tokens).ok()).collect::<Vec<_>>().len()
}

#[test]
fn each_of_several_nodes_permits_its_share_and_at_least_one_call() {
    let requests = |requests_per_minute| AccountLimits { requests_per_minute, ..AccountLimits::default() };
    let tokens = |tokens_per_minute| AccountLimits { tokens_per_minute, ..AccountLimits::default() };
    let calls = |concurrent_calls| AccountLimits { concurrent_calls, ..AccountLimits::default() };
    for (settings, tokens, expected) in [
        (requests(20), 0, 5),
        (requests(3), 0, 1),
        (tokens(4000), 100, 10),
        (tokens(4000), 2000, 1),
        (calls(8), 0, 2),
        (calls(1), 0, 1),
    ] {
        assert_eq!(admitted_by_one_of_four(&settings, tokens), expected, "{settings:?}");
    }
}

#[test]
fn call_ends_with_the_share_that_it_began_with() {
    let nodes = NodeCount::default();
    let settings = AccountLimits { concurrent_calls: 4, ..AccountLimits::default() };
    let limiters = [Limiter::new("key `1`".to_owned(), &settings, nodes.clone()).unwrap()];
    let first = admit(&limiters, "m", || 0).unwrap();
    nodes.set(4);
    assert!(admit(&limiters, "m", || 0).is_err(), "three of four permits are left, and a call needs four");
    drop(first);
    assert!(admit(&limiters, "m", || 0).is_ok());
}
