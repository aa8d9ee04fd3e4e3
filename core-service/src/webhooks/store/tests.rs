//! The outbox, the queue of deliveries and the endpoints in a real database, on a clock that the tests set. An empty list
//! stands for no busy lanes (`claim`, `next_due`) and for no endpoints of the configuration (`fan_out`).

use super::*;
use std::time::Duration;

use crate::{
    config::{ConfiguredEndpoint, WebhookEventType},
    keys::{Owner, Owners},
    video::{state::Event as JobEvent, store::JobStore as _},
    webhook_secret::WebhookSecret,
    webhooks::{
        delivery::{Attempt, Delivery, DeliveryState},
        endpoint::{CALLBACK, Endpoint},
        event::Event,
        store::{deliveries::DISABLE_AFTER, outbox::BATCH},
        testing::{NOW, Stores, failure, success},
    },
};

const LEASE: Duration = Duration::from_secs(20);
const URL: &str = "https://a.test/hook";

fn configured() -> Endpoint {
    let settings = ConfiguredEndpoint {
        url: Some("https://operator.test/".parse().unwrap()),
        secret: Some(WebhookSecret::generate().to_text().into()),
        ..ConfiguredEndpoint::default()
    };
    Endpoint::configured(&settings).unwrap()
}

/// Creates the deliveries of all events, and returns those for a video as endpoint and type.
async fn fanned_out(stores: &Stores, configured: &[Endpoint], video: &str) -> Vec<(String, &'static str)> {
    assert!(!stores.webhooks.fan_out(configured).await.unwrap());
    let filter = DeliveryFilter::Video(video);
    let mut deliveries = stores.webhooks.deliveries(filter, &Owners::All, None, 100).await.unwrap();
    deliveries.reverse();
    deliveries.into_iter().map(|delivery| (delivery.endpoint_id, delivery.event.event_type.as_str())).collect()
}

async fn claimed(stores: &Stores) -> Claim {
    stores.webhooks.claim(LEASE, &[]).await.unwrap().unwrap()
}

/// Records a failed attempt, with the next one due after `retry`.
async fn fail(stores: &Stores, claim: Claim, retry: Option<Duration>) -> Recorded {
    let now = stores.webhooks.now();
    let attempt = Attempt { start: now, millis: 1, status: Some(500), error: "status 500".to_owned() };
    let after = claim.delivery.after(attempt, retry.map(|delay| now.after(delay)), now);
    stores.webhooks.record(claim.fence, &after).await.unwrap()
}

#[tokio::test]
async fn event_is_delivered_to_the_endpoints_of_its_owner_to_configured_ones_and_to_its_callback() {
    let stores = Stores::new().await;
    let (alice, _) = stores.endpoint("alice", URL).await;
    stores.endpoint("bob", URL).await;
    let operator = configured();
    let video = stores.job("alice", success(), Some("https://callback.test/")).await;
    let expected = [
        (operator.id.clone(), "video.completed"),
        (alice.id, "video.completed"),
        (CALLBACK.to_owned(), "video.completed"),
    ];
    let configured = [operator];
    assert_eq!(fanned_out(&stores, &configured, video.as_str()).await, expected);
    // A second pass finds nothing new.
    assert_eq!(fanned_out(&stores, &configured, video.as_str()).await, expected);
    let only = Owners::Only(Owner::new("alice"));
    let seen = stores.webhooks.deliveries(DeliveryFilter::Video(video.as_str()), &only, None, 100).await.unwrap();
    assert_eq!(seen.len(), 2, "the operator's endpoints are not visible to clients");
    assert_eq!(seen[0].event.id, seen[1].event.id);
}

#[tokio::test]
async fn only_the_wanted_events_after_the_creation_of_an_endpoint_are_delivered() {
    let stores = Stores::new().await;
    let early = stores.job("", failure(), None).await;
    stores.advance(Duration::from_secs(1));
    let (mut endpoint, _) = stores.endpoint("", URL).await;
    endpoint.created_at = Some(stores.webhooks.now());
    endpoint.event_types = vec![WebhookEventType::VideoFailed];
    stores.webhooks.update_endpoint(&endpoint).await.unwrap();
    // `update_endpoint` does not write the time of the creation.
    let update = sqlx::query("UPDATE webhook_endpoints SET created_at = $1").bind(stores.webhooks.now().0);
    update.execute(stores.webhooks.database.writer()).await.unwrap();
    let failed = stores.job("", failure(), None).await;
    let succeeded = stores.job("", success(), None).await;
    let cancelled = stores.job("", vec![JobEvent::Cancelled], None).await;
    assert_eq!(fanned_out(&stores, &[], failed.as_str()).await, [(endpoint.id, "video.failed")]);
    for other in [early, succeeded, cancelled] {
        assert_eq!(fanned_out(&stores, &[], other.as_str()).await, []);
    }
}

#[tokio::test]
async fn unreadable_request_of_a_job_does_not_stop_the_outbox() {
    let stores = Stores::new().await;
    let (endpoint, _) = stores.endpoint("", URL).await;
    let damaged = stores.job("", failure(), Some("https://callback.test/")).await;
    let next = stores.job("", failure(), None).await;
    let update = sqlx::query("UPDATE video_jobs SET request = x'ff00' WHERE id = $1").bind(damaged.as_str());
    update.execute(stores.webhooks.database.writer()).await.unwrap();
    for video in [damaged, next] {
        assert_eq!(fanned_out(&stores, &[], video.as_str()).await, [(endpoint.id.clone(), "video.failed")]);
    }
}

#[tokio::test]
async fn end_of_a_job_that_was_deleted_before_the_outbox_was_read_is_delivered_once() {
    let stores = Stores::new().await;
    let (endpoint, _) = stores.endpoint("alice", URL).await;
    let callback = Some("https://callback.test/");
    let deleted = stores.job("alice", success(), callback).await;
    let kept = stores.job("alice", failure(), None).await;
    stores.delete(&deleted).await;
    let expected = [(endpoint.id.clone(), "video.completed"), (CALLBACK.to_owned(), "video.completed")];
    for _ in 0..2 {
        assert_eq!(fanned_out(&stores, &[], deleted.as_str()).await, expected);
    }
    assert_eq!(fanned_out(&stores, &[], kept.as_str()).await, [(endpoint.id, "video.failed")]);
    let left = async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM deleted_job_events");
        count.fetch_one(stores.webhooks.database.readers()).await.unwrap()
    };
    assert_eq!(left().await, 0);
    // The deliveries of this job exist, so its event is not kept.
    stores.delete(&kept).await;
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn event_of_a_deleted_job_comes_before_later_events() {
    let stores = Stores::new().await;
    stores.endpoint("", URL).await;
    let deleted = stores.job("", failure(), None).await;
    for _ in 0..BATCH {
        stores.job("", failure(), None).await;
    }
    stores.delete(&deleted).await;
    assert!(stores.webhooks.fan_out(&[]).await.unwrap());
    let claim = claimed(&stores).await;
    assert_eq!(claim.delivery.event.video_id, deleted.as_str());
    assert!(!stores.webhooks.fan_out(&[]).await.unwrap());
    let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(DISTINCT event_id) FROM webhook_deliveries");
    assert_eq!(count.fetch_one(stores.webhooks.database.readers()).await.unwrap(), i64::from(BATCH) + 1);
}

#[tokio::test]
async fn more_events_than_one_batch_are_all_delivered() {
    let stores = Stores::new().await;
    stores.endpoint("", URL).await;
    for _ in 0..=BATCH {
        stores.job("", failure(), None).await;
    }
    assert!(stores.webhooks.fan_out(&[]).await.unwrap());
    assert!(!stores.webhooks.fan_out(&[]).await.unwrap());
    let count: i64 = sqlx::query_scalar("SELECT COUNT(DISTINCT event_id) FROM webhook_deliveries")
        .fetch_one(stores.webhooks.database.readers())
        .await
        .unwrap();
    assert_eq!(count, i64::from(BATCH) + 1);
}

#[tokio::test]
async fn events_from_before_the_migration_are_not_delivered() {
    let stores = Stores::new().await;
    let old = stores.job("", failure(), None).await;
    // The statement of the migration, which is run again as if the job were older than the webhooks.
    let migration = "INSERT INTO webhook_outbox (sequence) \
                     SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'job_events'), 0)";
    assert!(include_str!("../../../migrations/sqlite/0006_webhooks.sql").replace('\n', " ").contains(migration));
    for query in ["DELETE FROM webhook_outbox", migration] {
        sqlx::query(query).execute(stores.webhooks.database.writer()).await.unwrap();
    }
    assert_eq!(fanned_out(&stores, &[configured()], old.as_str()).await, []);
    let new = stores.job("", failure(), None).await;
    assert_eq!(fanned_out(&stores, &[configured()], new.as_str()).await.len(), 1);
}

#[tokio::test]
async fn claimed_delivery_is_claimed_again_only_after_its_lease() {
    let stores = Stores::new().await;
    stores.endpoint("", URL).await;
    stores.job("", failure(), None).await;
    stores.webhooks.fan_out(&[]).await.unwrap();
    let first = claimed(&stores).await;
    assert_eq!(stores.webhooks.claim(LEASE, &[]).await.unwrap(), None);
    assert_eq!(stores.webhooks.next_due(&[]).await.unwrap(), Some(NOW.after(LEASE)));
    stores.advance(LEASE);
    let second = claimed(&stores).await;
    assert_eq!((&second.delivery.id, &second.delivery.event), (&first.delivery.id, &first.delivery.event));
    assert_eq!(fail(&stores, first, None).await, Recorded::LeaseLost);
    assert_eq!(fail(&stores, second, Some(LEASE)).await, Recorded::Done);
    assert_eq!(stores.webhooks.next_due(&[]).await.unwrap(), Some(NOW.after(LEASE * 2)));
}

#[tokio::test]
async fn deliveries_of_busy_lanes_are_neither_claimed_nor_due() {
    let stores = Stores::new().await;
    let (first, _) = stores.endpoint("", URL).await;
    let (second, _) = stores.endpoint("", URL).await;
    stores.job("", failure(), None).await;
    stores.webhooks.fan_out(&[]).await.unwrap();
    let busy = [first.id];
    let claim = stores.webhooks.claim(LEASE, &busy).await.unwrap().unwrap();
    assert_eq!(claim.delivery.endpoint_id, second.id);
    assert_eq!(stores.webhooks.claim(LEASE, &busy).await.unwrap(), None);
    assert_eq!(stores.webhooks.next_due(&busy).await.unwrap(), Some(NOW.after(LEASE)));
    assert_eq!(stores.webhooks.next_due(&[]).await.unwrap(), Some(NOW));
}

#[tokio::test]
async fn endpoint_is_disabled_after_five_days_of_failures_which_begin_again_after_a_success() {
    let stores = Stores::new().await;
    let (endpoint, _) = stores.endpoint("", URL).await;
    let state = async || stores.webhooks.endpoint_state(&endpoint.id).await.unwrap();
    let attempt = async |succeeds: bool| {
        stores.job("", failure(), None).await;
        stores.webhooks.fan_out(&[]).await.unwrap();
        let claim = claimed(&stores).await;
        if !succeeds {
            return fail(&stores, claim, None).await;
        }
        let ok = Attempt { start: NOW, millis: 1, status: Some(200), error: String::new() };
        stores.webhooks.record(claim.fence, &claim.delivery.after(ok, None, NOW)).await.unwrap()
    };
    assert_eq!(attempt(false).await, Recorded::Done);
    assert_eq!(state().await.failing_since, Some(NOW));
    stores.advance(DISABLE_AFTER.saturating_sub(Duration::from_secs(1)));
    assert_eq!(attempt(false).await, Recorded::Done);
    assert_eq!(attempt(true).await, Recorded::Done);
    assert_eq!(state().await.failing_since, None);
    assert_eq!(attempt(false).await, Recorded::Done);
    stores.advance(DISABLE_AFTER);
    // Another delivery is waiting for its next attempt.
    stores.job("", failure(), None).await;
    stores.webhooks.fan_out(&[]).await.unwrap();
    assert_eq!(fail(&stores, claimed(&stores).await, Some(LEASE)).await, Recorded::EndpointDisabled);
    assert_eq!(state().await.disabled_reason.as_deref(), Some("every attempt has failed for five days"));
    assert_eq!(stores.webhooks.next_due(&[]).await.unwrap(), None);
    let video = stores.job("", failure(), None).await;
    assert_eq!(fanned_out(&stores, &[], video.as_str()).await, []);
    stores.webhooks.enable_endpoint(&endpoint.id).await.unwrap();
    let video = stores.job("", failure(), None).await;
    assert_eq!(fanned_out(&stores, &[], video.as_str()).await.len(), 1);
}

#[tokio::test]
async fn test_delivery_does_not_count_for_its_endpoint_and_is_sent_by_its_creator_only() {
    let stores = Stores::new().await;
    let (endpoint, _) = stores.endpoint("", URL).await;
    let event = Event::test(WebhookEventType::VideoCompleted, NOW);
    let delivery = Delivery { is_test: true, ..Delivery::to_endpoint(event, &endpoint, NOW) };
    let claim = stores.webhooks.insert_claimed(delivery, LEASE).await.unwrap();
    assert_eq!(stores.webhooks.claim(LEASE, &[]).await.unwrap(), None);
    assert_eq!(fail(&stores, claim, None).await, Recorded::Done);
    assert_eq!(stores.webhooks.endpoint_state(&endpoint.id).await.unwrap().failing_since, None);
}

#[tokio::test]
async fn rotated_secret_signs_with_the_previous_one_until_the_overlap_ends() {
    let stores = Stores::new().await;
    let (endpoint, old) = stores.endpoint("", URL).await;
    let new = WebhookSecret::generate();
    stores.webhooks.rotate_secret(&endpoint.id, &new, NOW.after(LEASE)).await.unwrap();
    let secrets = async || stores.webhooks.endpoint(&endpoint.id, &Owners::All).await.unwrap().unwrap().secrets;
    assert_eq!(secrets().await, [new.clone(), old]);
    stores.advance(LEASE);
    assert_eq!(secrets().await, [new]);
}

#[tokio::test]
async fn endpoints_of_other_owners_do_not_exist_and_their_number_is_limited() {
    let stores = Stores::new().await;
    let (endpoint, secret) = stores.endpoint("alice", URL).await;
    let owner = |name: &str| Owners::Only(Owner::new(name));
    assert!(stores.webhooks.endpoint(&endpoint.id, &owner("alice")).await.unwrap().is_some());
    assert!(stores.webhooks.endpoint(&endpoint.id, &owner("bob")).await.unwrap().is_none());
    assert!(stores.webhooks.endpoints(&owner("bob")).await.unwrap().is_empty());
    let other = Endpoint { id: "whe_2".to_owned(), ..endpoint };
    assert!(!stores.webhooks.insert_endpoint(&other, &secret, 1).await.unwrap());
    assert_eq!(stores.webhooks.endpoints(&Owners::All).await.unwrap().len(), 1);
}

#[tokio::test]
async fn deleted_endpoint_is_gone_with_its_deliveries() {
    let stores = Stores::new().await;
    let (endpoint, _) = stores.endpoint("", URL).await;
    stores.job("", failure(), None).await;
    stores.webhooks.fan_out(&[]).await.unwrap();
    let claim = claimed(&stores).await;
    stores.webhooks.delete_endpoint(&endpoint.id).await.unwrap();
    assert_eq!(stores.webhooks.endpoint(&endpoint.id, &Owners::All).await.unwrap(), None);
    assert_eq!(stores.webhooks.delivery(&claim.delivery.id, &Owners::All).await.unwrap(), None);
    assert_eq!(fail(&stores, claim, None).await, Recorded::LeaseLost);
}

#[tokio::test]
async fn redelivered_delivery_keeps_its_event_and_starts_the_schedule_again() {
    let stores = Stores::new().await;
    stores.endpoint("", URL).await;
    stores.job("", failure(), None).await;
    stores.webhooks.fan_out(&[]).await.unwrap();
    let claim = claimed(&stores).await;
    let before = claim.delivery.clone();
    fail(&stores, claim, None).await;
    let read = async || stores.webhooks.delivery(&before.id, &Owners::All).await.unwrap().unwrap();
    assert_eq!(read().await.state, DeliveryState::Failed);
    stores.advance(LEASE);
    let after = stores.webhooks.redeliver(&before.id).await.unwrap().unwrap();
    assert_eq!(read().await, after);
    assert_eq!((after.state, after.attempt_number, after.due_at), (DeliveryState::Pending, 0, Some(NOW.after(LEASE))));
    assert_eq!((after.event, after.attempts.len(), after.completed_at), (before.event, 1, None));
}

#[tokio::test]
async fn final_deliveries_are_removed_after_their_retention() {
    let stores = Stores::new().await;
    stores.endpoint("", URL).await;
    for _ in 0..2 {
        stores.job("", failure(), None).await;
    }
    stores.webhooks.fan_out(&[]).await.unwrap();
    fail(&stores, claimed(&stores).await, None).await;
    fail(&stores, claimed(&stores).await, Some(LEASE)).await;
    assert_eq!(stores.webhooks.remove_completed_before(NOW).await.unwrap(), 0);
    assert_eq!(stores.webhooks.remove_completed_before(NOW.after(LEASE)).await.unwrap(), 1);
    assert_eq!(stores.webhooks.next_due(&[]).await.unwrap(), Some(stores.jobs.now().after(LEASE)));
}

#[tokio::test]
async fn pages_of_deliveries_are_consecutive() {
    let stores = Stores::new().await;
    let (endpoint, _) = stores.endpoint("", URL).await;
    for _ in 0..3 {
        stores.job("", failure(), None).await;
    }
    stores.webhooks.fan_out(&[]).await.unwrap();
    let filter = DeliveryFilter::Endpoint(&endpoint.id);
    let page = async |before: Option<&str>| {
        let page = stores.webhooks.deliveries(filter, &Owners::All, before, 2).await.unwrap();
        page.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    let first = page(None).await;
    let second = page(first.last().map(String::as_str)).await;
    assert_eq!((first.len(), second.len()), (2, 1));
    assert!(first[0] > first[1] && first[1] > second[0]);
}

#[tokio::test]
async fn claims_read_an_index_of_the_pending_deliveries() {
    let stores = Stores::new().await;
    let query = "EXPLAIN QUERY PLAN SELECT id FROM webhook_deliveries WHERE state = 'pending' AND due_at <= 1 \
                 AND lease_until <= 1 AND lane NOT IN (SELECT value FROM json_each('[]')) ORDER BY due_at, id LIMIT 1";
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(query).fetch_all(stores.webhooks.database.readers()).await.unwrap();
    assert!(plan[0].3.contains("USING COVERING INDEX webhook_deliveries_due"), "{plan:?}");
    let query =
        "EXPLAIN QUERY PLAN SELECT lease_until FROM webhook_deliveries WHERE state = 'pending' AND lease_until > 0";
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(query).fetch_all(stores.webhooks.database.readers()).await.unwrap();
    assert!(plan[0].3.contains("INDEX webhook_deliveries_leased"), "{plan:?}");
}

crate::database::testing::on_postgres! {
    event_is_delivered_to_the_endpoints_of_its_owner_to_configured_ones_and_to_its_callback,
    only_the_wanted_events_after_the_creation_of_an_endpoint_are_delivered,
    unreadable_request_of_a_job_does_not_stop_the_outbox,
    end_of_a_job_that_was_deleted_before_the_outbox_was_read_is_delivered_once,
    event_of_a_deleted_job_comes_before_later_events,
    more_events_than_one_batch_are_all_delivered,
    claimed_delivery_is_claimed_again_only_after_its_lease,
    deliveries_of_busy_lanes_are_neither_claimed_nor_due,
    endpoint_is_disabled_after_five_days_of_failures_which_begin_again_after_a_success,
    test_delivery_does_not_count_for_its_endpoint_and_is_sent_by_its_creator_only,
    rotated_secret_signs_with_the_previous_one_until_the_overlap_ends,
    endpoints_of_other_owners_do_not_exist_and_their_number_is_limited,
    deleted_endpoint_is_gone_with_its_deliveries,
    redelivered_delivery_keeps_its_event_and_starts_the_schedule_again,
    final_deliveries_are_removed_after_their_retention,
    pages_of_deliveries_are_consecutive,
}
