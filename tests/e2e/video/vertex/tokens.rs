//! Access tokens: their renewal, and jobs that get none.

use super::{
    super::{
        create,
        provider_case::{
            Call::{Create, File, Poll},
            MP4,
        },
        wait_until_final,
    },
    DONE, STARTED, VEO, assert_exchange, enqueue_tokens, succeeded, with_core,
};
use crate::fake_upstream::{ReceivedRequest, Reply};

/// Returns the tokens of requests, in lower case.
fn tokens_of(requests: &[ReceivedRequest]) -> Vec<&str> {
    let headers = requests.iter().map(|request| request.header("authorization").unwrap());
    headers.map(|header| header.strip_prefix("bearer ").unwrap()).collect()
}

#[tokio::test]
async fn token_is_renewed_before_it_expires() {
    with_core(async |server, tokens| {
        // Tokens are renewed some time before they expire. These are within that margin at once, so each is used for one call.
        enqueue_tokens(tokens, &[("t-1", 30), ("t-2", 30), ("t-3", 30)]);
        let received = succeeded(server, &VEO, &[STARTED, DONE, (File, MP4)], &VEO.body()).await;
        assert_eq!(tokens_of(&received), ["t-1", "t-2", "t-3"]);
        for _ in 0..3 {
            assert_exchange(&tokens.received().await, &tokens.url("/token"));
        }
    })
    .await;
}

#[tokio::test]
async fn token_that_is_refused_with_401_is_renewed_once() {
    with_core(async |server, tokens| {
        let refused = |call| (call, "expired-token.401.json");
        enqueue_tokens(tokens, &[("t-1", 3600), ("t-2", 3600), ("t-3", 3600), ("t-4", 3600)]);
        let exchanges = [refused(Create), STARTED, refused(Poll), DONE, refused(File), (File, MP4)];
        let received = succeeded(server, &VEO, &exchanges, &VEO.body()).await;
        assert_eq!(tokens_of(&received), ["t-1", "t-2", "t-2", "t-3", "t-3", "t-4"]);
        tokens.skip_requests(4).await;
        enqueue_tokens(tokens, &[("t-5", 3600)]);
        for _ in 0..2 {
            VEO.enqueue(server, "task-1", Create, "expired-token.401.json");
        }
        let id = create(server, &VEO.body()).await;
        assert_eq!(wait_until_final(server, &id).await["error"]["code"], "provider_credentials");
        let received = [server.upstream.received().await, server.upstream.received().await];
        assert_eq!(tokens_of(&received), ["t-4", "t-5"]);
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_submitted_without_a_token() {
    with_core(async |server, tokens| {
        // The account is refused.
        tokens.enqueue_at("/token", VEO.fixtures().reply(server, "invalid-grant.400.json", ""));
        let id = create(server, &VEO.body()).await;
        let error = &wait_until_final(server, &id).await["error"];
        assert_eq!(error["code"], "provider_credentials", "{error}");
        tokens.received().await;
        server.upstream.assert_no_request().await;
        // The endpoint is down: the submission waits, whether or not the connection was lost within the response.
        for reply in [Reply::new(503, "{}"), Reply::new(200, "{\"access_token\":").abort()] {
            tokens.enqueue_at("/token", reply);
            // Expired for the next job.
            enqueue_tokens(tokens, &[("t-1", 0), ("t-2", 0), ("t-3", 0)]);
            let received = succeeded(server, &VEO, &[STARTED, DONE, (File, MP4)], &VEO.body()).await;
            assert_eq!(tokens_of(&received), ["t-1", "t-2", "t-3"]);
            tokens.skip_requests(4).await;
        }
    })
    .await;
}
