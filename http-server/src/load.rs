//! The load of the connection threads, by which new connections and HTTP/2 streams are distributed among them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Load up to which a thread is preferred to idle ones. An idle thread is woken for each event, and requests on one thread
/// share the wake-ups. Few requests do not fill a CPU, because they mostly wait for their upstreams.
pub(crate) const SHARED_LOAD: usize = 16;

/// The requests in flight on a thread, and its connections that have not had a request yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load(Arc<AtomicUsize>);

/// A unit of load, until it is dropped.
#[derive(Debug)]
pub(crate) struct LoadGuard(Load);

impl Load {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self) -> LoadGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        LoadGuard(self.clone())
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The load of a new connection: a request is expected, so that connections opened at once are spread.
#[derive(Debug)]
pub(crate) struct ExpectedRequest {
    load: Load,
    expected: AtomicBool,
}

impl ExpectedRequest {
    pub(crate) fn new(load: Load) -> Self {
        load.0.fetch_add(1, Ordering::Relaxed);
        Self { load, expected: AtomicBool::new(true) }
    }

    /// Ends the expectation. Later calls do nothing.
    pub(crate) fn end(&self) {
        if self.expected.load(Ordering::Relaxed) && self.expected.swap(false, Ordering::Relaxed) {
            self.load.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for ExpectedRequest {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the index of the first thread with a load below [`SHARED_LOAD`], else of the least loaded one.
pub(crate) fn choose(loads: impl Iterator<Item = usize>) -> usize {
    // `min_by_key` returns the first of equal elements.
    loads.enumerate().min_by_key(|&(_, load)| (load + 1).max(SHARED_LOAD)).map_or(0, |(index, _)| index)
}

/// Returns the thread for a stream of an HTTP/2 connection on the thread `local`: another one only if the local thread has
/// much more to do, because a stream shares its wake-ups with its connection.
pub(crate) fn choose_for_stream(local: usize, loads: impl Iterator<Item = usize> + Clone) -> usize {
    let load = loads.clone().nth(local).unwrap_or_default();
    if load < SHARED_LOAD {
        return local;
    }
    match loads.enumerate().min_by_key(|&(_, load)| load) {
        Some((index, least)) if least + SHARED_LOAD < load => index,
        _ => local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_requests_share_a_thread_and_many_are_spread() {
        let mut loads = [0; 3];
        let mut place = |count| {
            for _ in 0..count {
                loads[choose(loads.into_iter())] += 1;
            }
            loads
        };
        assert_eq!(place(SHARED_LOAD), [SHARED_LOAD, 0, 0]);
        assert_eq!(place(2 * SHARED_LOAD), [SHARED_LOAD; 3]);
        assert_eq!(place(6), [SHARED_LOAD + 2; 3]);
    }

    #[test]
    fn streams_of_one_connection_leave_a_thread_that_is_much_busier_than_another() {
        let mut loads = [0; 2];
        for _ in 0..1024 {
            loads[choose_for_stream(0, loads.into_iter())] += 1;
        }
        assert_eq!(loads.iter().sum::<usize>(), 1024);
        assert!(loads[0].abs_diff(loads[1]) <= SHARED_LOAD + 1, "{loads:?}");
        assert_eq!(choose_for_stream(1, [0, SHARED_LOAD - 1].into_iter()), 1, "few streams stay");
    }

    #[test]
    fn connection_counts_until_its_first_request_or_its_end() {
        let load = Load::default();
        let (first, second) = (ExpectedRequest::new(load.clone()), ExpectedRequest::new(load.clone()));
        assert_eq!(load.get(), 2);
        first.end();
        let request = load.enter();
        first.end();
        drop(second);
        assert_eq!(load.get(), 1);
        drop((first, request));
        assert_eq!(load.get(), 0);
    }
}
