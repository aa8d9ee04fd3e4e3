//! Deliveries from a real database to a local receiver, on a clock that the tests set. An empty list stands for no busy lanes (`claim`)
//! and for no endpoints of the configuration (`fan_out`).

use super::*;
use crate::{
    config::Webhooks,
    keys::Owners,
    webhooks::{
        delivery::{Delivery, DeliveryState},
        endpoint::Endpoint,
        store::DeliveryFilter,
        testing::{NOW, Receiver, Stores, failure, success},
    },
};

/// A dispatcher whose passes a test makes itself.
fn dispatcher(stores: &Stores, max_in_flight: usize) -> Dispatcher {
    Dispatcher {
        attempts: stores.attempts(Webhooks::default()),
        max_in_flight,
        wake: Arc::default(),
        stop: CancellationToken::new(),
        in_flight: InFlight::default(),
        next_removal: Instant::now(),
    }
}

/// Makes a pass, and waits for the attempts that it starts.
async fn settle(dispatcher: &mut Dispatcher) -> Duration {
    loop {
        let idle = dispatcher.pass().await.unwrap();
        if dispatcher.in_flight.tasks.is_empty() {
            return idle;
        }
        while !dispatcher.in_flight.tasks.is_empty() {
            dispatcher.in_flight.finished().await;
        }
    }
}

async fn only_delivery(stores: &Stores, endpoint: &Endpoint) -> Delivery {
    let filter = DeliveryFilter::Endpoint(&endpoint.id);
    let mut found = stores.webhooks.deliveries(filter, &Owners::All, None, 2).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[tokio::test]
async fn failed_attempts_are_repeated_on_the_schedule_with_the_same_id() {
    let (stores, receiver) = (Stores::new().await, Receiver::start().await);
    let (endpoint, _) = stores.endpoint("", &receiver.url).await;
    receiver.fail(["500 X", "301 X", "404 X", "503 X", "400 X", "500 X", "500 X"]);
    stores.job("", success(), None).await;
    let mut dispatcher = dispatcher(&stores, 8);
    settle(&mut dispatcher).await;
    for (count, delay) in (1..).zip(Webhooks::default().retry_delays) {
        assert_eq!(receiver.ids().len(), count);
        let delivery = only_delivery(&stores, &endpoint).await;
        assert_eq!(delivery.due_at.unwrap().since(stores.webhooks.now()), delay);
        stores.advance(delay.saturating_sub(Duration::from_millis(1)));
        assert_eq!(settle(&mut dispatcher).await, MIN_IDLE);
        assert_eq!(receiver.ids().len(), count);
        stores.advance(Duration::from_millis(1));
        settle(&mut dispatcher).await;
    }
    let delivery = only_delivery(&stores, &endpoint).await;
    assert_eq!((delivery.state, delivery.attempts.len()), (DeliveryState::Succeeded, 8));
    assert_eq!(receiver.ids(), vec![delivery.event.id; 8]);
    assert_eq!(settle(&mut dispatcher).await, MAX_IDLE);
}

#[tokio::test]
async fn delivery_fails_after_the_last_attempt() {
    let (stores, receiver) = (Stores::new().await, Receiver::start().await);
    let (endpoint, _) = stores.endpoint("", &receiver.url).await;
    receiver.fail(["500 X"; 8]);
    stores.job("", failure(), None).await;
    let mut dispatcher = dispatcher(&stores, 8);
    settle(&mut dispatcher).await;
    for delay in Webhooks::default().retry_delays {
        stores.advance(delay);
        settle(&mut dispatcher).await;
    }
    let delivery = only_delivery(&stores, &endpoint).await;
    assert_eq!((delivery.state, delivery.attempts.len()), (DeliveryState::Failed, 8));
    assert_eq!(delivery.attempts[7].error, "the receiver responded with status 500");
}

#[tokio::test]
async fn event_is_delivered_after_a_restart_with_the_same_id() {
    let receiver = Receiver::start().await;
    let mut stores = Stores::new().await;
    let (endpoint, _) = stores.endpoint("", &receiver.url).await;
    stores.job("", success(), None).await;
    // The first process ended before it read the outbox.
    stores = stores.reopened().await;
    // The second process is killed between the claim and the record.
    stores.webhooks.fan_out(&[]).await.unwrap();
    let attempts = stores.attempts(Webhooks::default());
    let claim = stores.webhooks.claim(attempts.lease(), &[]).await.unwrap().unwrap();
    let event_id = claim.delivery.event.id;
    stores = stores.reopened().await;
    let mut dispatcher = dispatcher(&stores, 8);
    settle(&mut dispatcher).await;
    assert_eq!(receiver.ids(), [""; 0], "the lease of the killed process has not expired");
    stores.advance(attempts.lease());
    settle(&mut dispatcher).await;
    assert_eq!(receiver.ids(), [event_id]);
    assert_eq!(only_delivery(&stores, &endpoint).await.state, DeliveryState::Succeeded);
}

#[tokio::test]
async fn stopped_dispatcher_releases_its_attempts_for_the_next() {
    let stores = Stores::new().await;
    // Accepts connections and never responds.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (endpoint, _) = stores.endpoint("", &format!("http://{}/", silent.local_addr().unwrap())).await;
    stores.job("", success(), None).await;
    let attempts = stores.attempts(Webhooks::default());
    let handle = Dispatcher::start(attempts, &stores.jobs, 8, Arc::default());
    let _connection = silent.accept().await.unwrap();
    handle.stop(Duration::ZERO).await;
    let claim = stores.webhooks.claim(Duration::from_secs(1), &[]).await.unwrap().unwrap();
    assert_eq!((claim.delivery.endpoint_id, claim.delivery.attempts), (endpoint.id, vec![]));
}

#[tokio::test]
async fn end_of_a_job_and_a_wake_up_start_attempts_at_once() {
    let (stores, receiver) = (Stores::new().await, Receiver::start().await);
    let (endpoint, _) = stores.endpoint("", &receiver.url).await;
    let wake = Arc::new(Notify::new());
    let start = || Dispatcher::start(stores.attempts(Webhooks::default()), &stores.jobs, 8, wake.clone());
    let handle = start();
    stores.job("", success(), None).await;
    receiver.received(1).await;
    // Waits until the attempt is recorded.
    handle.stop(Duration::from_secs(30)).await;
    let delivery = only_delivery(&stores, &endpoint).await;
    assert_eq!(delivery.state, DeliveryState::Succeeded);
    let handle = start();
    stores.webhooks.redeliver(&delivery.id).await.unwrap();
    wake.notify_one();
    receiver.received(2).await;
    handle.stop(Duration::from_secs(30)).await;
    assert_eq!(receiver.ids(), [delivery.event.id.clone(), delivery.event.id]);
}

#[tokio::test]
async fn silent_receiver_occupies_its_share_only() {
    let (stores, receiver) = (Stores::new().await, Receiver::start().await);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (slow, _) = stores.endpoint("", &format!("http://{}/", silent.local_addr().unwrap())).await;
    for _ in 0..3 {
        stores.job("", success(), None).await;
    }
    // Of as many attempts in flight, the share of a lane is one.
    let mut dispatcher = dispatcher(&stores, LANE_SHARE);
    dispatcher.pass().await.unwrap();
    assert_eq!(dispatcher.in_flight.busy_lanes(LANE_SHARE), [slow.id]);
    assert_eq!(dispatcher.in_flight.tasks.len(), 1);
    stores.endpoint("", &receiver.url).await;
    stores.job("", failure(), None).await;
    dispatcher.pass().await.unwrap();
    receiver.received(1).await;
}

#[tokio::test]
async fn disabled_endpoint_and_missing_callback_secret_end_deliveries_without_a_request() {
    let (stores, receiver) = (Stores::new().await, Receiver::start().await);
    let (endpoint, _) = stores.endpoint("", &receiver.url).await;
    stores.job("", failure(), Some(&receiver.url)).await;
    stores.webhooks.fan_out(&[]).await.unwrap();
    stores.webhooks.disable_endpoint(&endpoint.id, "disabled by a client").await.unwrap();
    settle(&mut dispatcher(&stores, 8)).await;
    assert_eq!(only_delivery(&stores, &endpoint).await.completed_at, Some(NOW));
    // Without a secret, a callback cannot be signed.
    let filter = DeliveryFilter::Endpoint("callback");
    let callbacks = stores.webhooks.deliveries(filter, &Owners::All, None, 2).await.unwrap();
    assert_eq!(callbacks[0].state, DeliveryState::Failed);
    assert_eq!(callbacks[0].attempts[0].error, "webhooks.callback_secret is not set any more");
    assert_eq!(receiver.ids(), [""; 0]);
}
