//! The cache of access tokens, and the failures of the token endpoint.

use std::sync::atomic::Ordering;

use tokio::net::TcpListener;

use super::{super::super::common::testing::serve, *};
use crate::service_account::testing::file;

/// The time at which the clock of the tests starts, in milliseconds since 1970.
const START: i64 = 1_795_343_400_000;

/// Runs a test with a token endpoint that responds to the exchanges in turn with these bodies. The test gets the tokens, and a
/// function that sets the clock to a number of seconds after the start.
async fn with_tokens<T>(bodies: &[&str], test: impl AsyncFnOnce(&Tokens, &dyn Fn(i64)) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/oauth/token?v=1", listener.local_addr().unwrap());
    let account = ServiceAccount::parse(&file(&uri).to_string()).unwrap();
    let minute = Duration::from_mins(1);
    let (clock, millis) = Clock::manual(Timestamp(START));
    let tokens = Tokens::new(account, Timeouts { connect: minute, first_byte: minute, idle: minute }, clock).unwrap();
    let server = serve(listener, bodies.iter().map(|body| (*body).to_owned()).collect());
    let result = test(&tokens, &|seconds| millis.store(START + seconds * 1000, Ordering::SeqCst)).await;
    // Also checks the number of exchanges: the server ends after the last body.
    assert_eq!(server.await.unwrap(), vec!["/oauth/token?v=1"; bodies.len()]);
    result
}

/// Returns the text of a token for one call.
async fn text(tokens: &Tokens) -> Result<String, ProviderError> {
    tokens.get(&RequestContext::default()).await.map(|token| token.text.to_string())
}

#[tokio::test]
async fn token_is_renewed_a_minute_before_it_expires() {
    let bodies = [r#"{"access_token":"t-1","expires_in":3600}"#, r#"{"access_token":"t-2","expires_in":3600}"#];
    with_tokens(&bodies, async |tokens, set_clock| {
        for (seconds, expected) in [(0, "t-1"), (3539, "t-1"), (3540, "t-2")] {
            set_clock(seconds);
            assert_eq!(text(tokens).await.unwrap(), expected, "after {seconds} s");
        }
    })
    .await;
}

#[tokio::test]
async fn concurrent_calls_share_one_exchange_and_its_failure() {
    with_tokens(&[r#"{"access_token":"t-1","expires_in":3600}"#], async |tokens, _| {
        let (first, second) = tokio::join!(text(tokens), text(tokens));
        assert_eq!((first.unwrap(), second.unwrap()), ("t-1".to_owned(), "t-1".to_owned()));
    })
    .await;
    with_tokens(&["{}", r#"{"access_token":"t-1"}"#], async |tokens, _| {
        let (first, second) = tokio::join!(text(tokens), text(tokens));
        assert_eq!(first, second);
        assert!(matches!(first, Err(ProviderError::Unavailable { .. })), "{first:?}");
        // A later call tries again.
        assert_eq!(text(tokens).await.unwrap(), "t-1");
    })
    .await;
}

#[tokio::test]
async fn refused_token_is_forgotten_unless_it_was_replaced() {
    let bodies = [r#"{"access_token":"t-1","expires_in":3600}"#, r#"{"access_token":"t-2","expires_in":3600}"#];
    with_tokens(&bodies, async |tokens, _| {
        let first = tokens.get(&RequestContext::default()).await.unwrap();
        tokens.forget(&first).await;
        assert_eq!(text(tokens).await.unwrap(), "t-2");
        tokens.forget(&first).await;
        assert_eq!(text(tokens).await.unwrap(), "t-2");
    })
    .await;
}

#[tokio::test]
async fn token_that_no_header_can_carry_is_unavailable() {
    with_tokens(&[r#"{"access_token":"a\nb","expires_in":3600}"#], async |tokens, _| {
        assert!(matches!(text(tokens).await, Err(ProviderError::Unavailable { .. })));
    })
    .await;
}

#[test]
fn refusal_is_a_failure_of_the_credentials_and_a_temporary_error_is_retried() {
    let failure = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("7"))]);
        refusal(&Response { status, headers, body: body.to_owned().into() }, "assertion-1")
    };
    let body = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature: assertion-1"}"#;
    let expected = "the token endpoint responded with status 400: Invalid JWT Signature: ***";
    assert_eq!(failure(400, body), ProviderError::Credentials(expected.to_owned()));
    assert!(matches!(failure(401, "no JSON"), ProviderError::Credentials(_)));
    for status in [408, 429, 500, 503] {
        let error = failure(status, r#"{"error":"internal_failure"}"#);
        let retry_after = Some(Duration::from_secs(7));
        assert!(
            matches!(&error, ProviderError::Unavailable { retry_after: delay, .. } if *delay == retry_after),
            "{error:?}"
        );
        assert!(!error.may_have_executed() && error.to_string().ends_with("internal_failure"), "{error}");
    }
}

#[test]
fn token_is_removed_from_texts_that_quote_it() {
    let token = Token { text: "ya29.secret".into(), renewal: Timestamp(0) };
    assert_eq!(token.removed_from(b"invalid token ya29.secret").as_deref(), Some("invalid token ***"));
    assert_eq!(token.removed_from(b"other"), None);
    // A short token is not removed: `t-1` is also a part of `bucket-1`.
    let short = Token { text: "t-1".into(), renewal: Timestamp(0) };
    assert_eq!(short.removed_from(b"gs://bucket-1/a"), None);
    assert_eq!(token.headers()[header::AUTHORIZATION], "Bearer ya29.secret");
    assert!(!format!("{token:?} {:?}", token.headers()).contains("secret"));
}
