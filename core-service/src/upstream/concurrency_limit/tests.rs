//! The queue: its bound, its order, and that no permit is lost or duplicated, in every interleaving of a few calls.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use Priority::{High, Low, Normal};
use futures_util::{FutureExt, poll};

use super::*;
use crate::priority::PrioritySchedule;

#[tokio::test]
async fn full_queue_refuses_calls_and_waiting_calls_are_served_in_order_unless_dropped() {
    let limit = ConcurrencyLimit::new(1, 2);
    let permit = limit.acquire(Normal).await.unwrap();
    let (mut dropped, mut first) = (Box::pin(limit.acquire(Normal)), Box::pin(limit.acquire(Normal)));
    assert!(poll!(&mut dropped).is_pending() && poll!(&mut first).is_pending());
    assert!(!limit.has_room() && matches!(limit.acquire(High).await, Err(Full)), "a priority makes no room");
    drop(dropped);
    assert!(limit.has_room());
    let mut second = Box::pin(limit.acquire(Normal));
    assert!(poll!(&mut second).is_pending());
    drop(permit);
    assert!(poll!(&mut second).is_pending(), "permits are granted in the order of arrival");
    assert!(!limit.has_permit(), "the permit belongs to the first call before it is polled");
    drop(first.now_or_never().unwrap().unwrap());
    assert!(second.now_or_never().unwrap().is_ok());
    assert!(limit.has_permit());
}

#[tokio::test]
async fn zero_means_no_limit() {
    let limit = ConcurrencyLimit::new(0, 0);
    let permits = futures_util::future::join_all((0..10_000).map(|_| limit.acquire(Low))).await;
    assert!(permits.iter().all(Result::is_ok) && limit.has_permit());
}

#[tokio::test]
async fn waiting_calls_are_served_by_priority_with_a_share_for_lower_ones() {
    let limit = ConcurrencyLimit::new(1, 100);
    let mut permit = limit.acquire(Low).await.unwrap();
    let mut waiting: Vec<_> = [Low, Normal, High]
        .into_iter()
        .flat_map(|priority| (0..12).map(move |arrival| (priority, arrival)))
        .map(|(priority, arrival)| (priority, arrival, Box::pin(limit.acquire(priority))))
        .collect();
    for (_, _, call) in &mut waiting {
        assert!(poll!(call).is_pending());
    }
    let mut served = Vec::new();
    while !waiting.is_empty() {
        drop(permit);
        let ready =
            waiting.iter_mut().enumerate().find_map(|(index, (_, _, call))| Some((index, call.now_or_never()?)));
        let (index, acquired) = ready.unwrap();
        let (priority, arrival, _) = waiting.remove(index);
        served.push((priority, arrival));
        permit = acquired.unwrap();
    }
    let order: String = served.iter().map(|(priority, _)| &priority.as_str()[..1]).collect();
    // Every fourth turn belongs to the lower priorities while they wait: see `PrioritySchedule`.
    assert_eq!(order, "hhhnhhhnhhhnhhhlnnnlnnnlnnnlllllllll");
    for priority in Priority::DESCENDING {
        let arrivals = served.iter().filter(|(served, _)| *served == priority).map(|(_, arrival)| *arrival);
        assert!(arrivals.is_sorted(), "{priority}: {served:?}");
    }
}

type Acquire<'a> = Pin<Box<dyn Future<Output = Result<Permit, Full>> + 'a>>;

/// A call in an interleaving.
enum Call<'a> {
    NotStarted,
    /// Waiting, or granted and not polled since.
    Waiting(Acquire<'a>),
    Holding(Permit),
    Ended,
}

/// What can happen to a call. Each is one atomic section of the limit, or a few without effect on each other.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The call arrives, or a waiting call is polled.
    Poll,
    /// The future of a waiting call, or the permit of a call, is dropped.
    Drop,
}

/// The specification: the same queue, by a search through all waiting calls.
struct Model {
    free: usize,
    max_queued: usize,
    /// The waiting calls in the order of arrival.
    waiting: VecDeque<(usize, Priority)>,
    /// The calls that have a permit, whether they were polled since or not.
    granted: Vec<usize>,
    schedule: PrioritySchedule,
}

impl Model {
    /// Returns whether the call has a permit, waits, or was refused.
    fn arrive(&mut self, call: usize, priority: Priority) -> Poll<Result<(), Full>> {
        if self.free > 0 {
            assert!(self.waiting.is_empty());
            self.free -= 1;
            self.granted.push(call);
            Poll::Ready(Ok(()))
        } else if self.waiting.len() < self.max_queued {
            self.waiting.push_back((call, priority));
            Poll::Pending
        } else {
            Poll::Ready(Err(Full))
        }
    }

    fn leave(&mut self, call: usize) {
        self.waiting.retain(|(waiting, _)| *waiting != call);
        if let Some(index) = self.granted.iter().position(|granted| *granted == call) {
            self.granted.remove(index);
            self.grant();
        }
    }

    fn grant(&mut self) {
        let waits = |priority| self.waiting.iter().any(|(_, waiting)| *waiting == priority);
        let Some(priority) = self.schedule.next(waits) else {
            self.free += 1;
            return;
        };
        self.schedule.record(priority, waits);
        let next = self.waiting.iter().position(|(_, waiting)| *waiting == priority);
        let (call, _) = self.waiting.remove(next.unwrap()).unwrap();
        self.granted.push(call);
    }
}

/// Runs the steps, and compares each result with the specification. Returns the calls that have not ended.
fn run(priorities: &[Priority], limits: (usize, usize), steps: &[(usize, Step)]) -> Vec<usize> {
    let (max_in_flight, max_queued) = limits;
    let limit = ConcurrencyLimit::new(max_in_flight, max_queued);
    let mut model = Model {
        free: max_in_flight,
        max_queued,
        waiting: VecDeque::new(),
        granted: Vec::new(),
        schedule: PrioritySchedule::default(),
    };
    let mut calls: Vec<_> = priorities.iter().map(|_| Call::NotStarted).collect();
    for &(index, step) in steps {
        let call = std::mem::replace(&mut calls[index], Call::Ended);
        let (future, expected) = match (call, step) {
            (Call::NotStarted, _) => {
                let expected = model.arrive(index, priorities[index]);
                (Box::pin(limit.acquire(priorities[index])) as Acquire<'_>, expected)
            }
            (Call::Waiting(future), Step::Poll) => {
                let is_granted = model.granted.contains(&index);
                (future, if is_granted { Poll::Ready(Ok(())) } else { Poll::Pending })
            }
            (Call::Waiting(future), Step::Drop) => {
                drop(future);
                model.leave(index);
                continue;
            }
            (Call::Holding(permit), _) => {
                drop(permit);
                model.leave(index);
                continue;
            }
            (Call::Ended, _) => unreachable!("an ended call takes no step"),
        };
        let mut future = future;
        let polled = future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        let result;
        (result, calls[index]) = match polled {
            Poll::Pending => (Poll::Pending, Call::Waiting(future)),
            Poll::Ready(Ok(permit)) => (Poll::Ready(Ok(())), Call::Holding(permit)),
            Poll::Ready(Err(full)) => (Poll::Ready(Err(full)), Call::Ended),
        };
        assert_eq!(result, expected, "{limits:?} {priorities:?} {steps:?}");
        assert_eq!(limit.has_permit(), model.free > 0);
        assert_eq!(limit.has_room(), model.free > 0 || model.waiting.len() < max_queued);
    }
    let left =
        calls.iter().enumerate().filter(|(_, call)| !matches!(call, Call::Ended)).map(|(index, _)| index).collect();
    drop(calls);
    let permits = limit.permits.unwrap();
    assert_eq!(permits.free.load(Ordering::Relaxed), max_in_flight, "{steps:?}: a permit was lost or duplicated");
    assert_eq!((permits.queue().len(), permits.queued.load(Ordering::Relaxed)), (0, 0), "{steps:?}");
    left
}

/// Runs every sequence of steps until all calls have ended, with up to `polls` polls of each call, of which the first is its
/// arrival. Returns the number of sequences.
fn explore(priorities: &[Priority], limits: (usize, usize), polls: usize, steps: &mut Vec<(usize, Step)>) -> usize {
    let mut sequences = 1;
    for index in run(priorities, limits, steps) {
        let of_call = steps.iter().filter(|(call, _)| *call == index).count();
        let polled = (of_call < polls).then_some(Step::Poll);
        for step in polled.into_iter().chain((of_call > 0).then_some(Step::Drop)) {
            steps.push((index, step));
            sequences += explore(priorities, limits, polls, steps);
            steps.pop();
        }
    }
    sequences
}

#[test]
fn every_interleaving_of_a_few_calls_follows_the_specification() {
    let mut sequences = 0;
    for limits in [(1, 1), (1, 3), (2, 2)] {
        for priorities in [[Normal; 4], [Low, Normal, High, High], [High, Low, Normal, Low]] {
            sequences += explore(&priorities, limits, 1, &mut Vec::new());
        }
        for priorities in [[Normal; 3], [Low, Normal, High], [High, Low, Low]] {
            sequences += explore(&priorities, limits, 2, &mut Vec::new());
        }
    }
    assert!(sequences > 50_000, "{sequences}");
}

/// The threads race for what the test above runs one after the other: a call is dropped while its permit is on the way to it.
#[test]
fn racing_threads_neither_lose_nor_exceed_the_permits() {
    const MAX_IN_FLIGHT: usize = 3;
    let (limit, in_flight) = (ConcurrencyLimit::new(MAX_IN_FLIGHT, 5), AtomicUsize::new(0));
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let (limit, in_flight, start) = (&limit, &in_flight, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..2_000 {
                    let priority = Priority::DESCENDING[(thread + round) % 3];
                    let mut call = Box::pin(limit.acquire(priority));
                    // Some calls give up before they have a permit, others after many polls.
                    for _ in 0..=(thread * 7 + round * 5) % 200 {
                        let Some(acquired) = call.as_mut().now_or_never() else {
                            std::thread::yield_now();
                            continue;
                        };
                        if let Ok(permit) = acquired {
                            assert!(in_flight.fetch_add(1, Ordering::SeqCst) < MAX_IN_FLIGHT);
                            std::thread::yield_now();
                            in_flight.fetch_sub(1, Ordering::SeqCst);
                            drop(permit);
                        }
                        break;
                    }
                }
            });
        }
    });
    let permits = limit.permits.unwrap();
    assert_eq!(permits.free.load(Ordering::Relaxed), MAX_IN_FLIGHT);
    assert_eq!((permits.queue().len(), permits.queued.load(Ordering::Relaxed)), (0, 0));
}
