//! Claimed renders between two polls. They stay claimed, so that a poll that finds nothing new costs the database nothing.

use std::collections::{BTreeSet, HashMap};

use crate::video::{job::JobId, store::Claim, time::Timestamp};

/// A claimed render, and when its next poll is due.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) claim: Claim,
    pub(super) due: Timestamp,
}

/// The parked renders of one worker. Bounded by the renders that the providers accept.
#[derive(Debug, Default)]
pub(super) struct ParkedRenders {
    by_id: HashMap<JobId, Parked>,
    /// The parked renders of each provider, in the order of their polls.
    by_provider: HashMap<String, BTreeSet<(Timestamp, JobId)>>,
}

impl ParkedRenders {
    pub(super) fn insert(&mut self, parked: Parked) {
        let Parked { claim, due } = &parked;
        let (id, provider_id) = (claim.job.id.clone(), claim.job.request.provider_id.clone());
        self.by_provider.entry(provider_id).or_default().insert((*due, id.clone()));
        self.by_id.insert(id, parked);
    }

    pub(super) fn remove(&mut self, id: &JobId) -> Option<Claim> {
        let Parked { claim, due } = self.by_id.remove(id)?;
        let provider_id = &claim.job.request.provider_id;
        if let Some(order) = self.by_provider.get_mut(provider_id) {
            order.remove(&(due, id.clone()));
            if order.is_empty() {
                self.by_provider.remove(provider_id);
            }
        }
        Some(claim)
    }

    /// Removes the render whose poll has been due longest, of the providers that are not busy; `None` if no poll is due.
    pub(super) fn take_due(&mut self, now: Timestamp, busy: &[String]) -> Option<Claim> {
        let (due, id) = self.first(busy)?;
        if due > now {
            return None;
        }
        let id = id.clone();
        self.remove(&id)
    }

    /// Returns when the next poll is due, of the providers that are not busy.
    pub(super) fn next_due(&self, busy: &[String]) -> Option<Timestamp> {
        self.first(busy).map(|(due, _)| due)
    }

    /// Makes every poll due at `now`.
    pub(super) fn make_due(&mut self, now: Timestamp) {
        let renders: Vec<_> = self.by_id.drain().map(|(_, parked)| Parked { due: now, ..parked }).collect();
        self.by_provider.clear();
        for parked in renders {
            self.insert(parked);
        }
    }

    pub(super) fn drain(&mut self) -> Vec<Claim> {
        self.by_provider.clear();
        self.by_id.drain().map(|(_, parked)| parked.claim).collect()
    }

    fn first(&self, busy: &[String]) -> Option<(Timestamp, &JobId)> {
        let free = self.by_provider.iter().filter(|(provider_id, _)| !busy.contains(provider_id));
        free.filter_map(|(_, order)| order.first()).min().map(|(due, id)| (*due, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keys::Owner,
        video::{job::Job, testing::request},
    };

    fn parked(provider_id: &str, due: i64) -> Parked {
        let mut request = request();
        provider_id.clone_into(&mut request.provider_id);
        let job = Job::new(JobId::new(), Owner::default(), request, Timestamp(0), std::time::Duration::ZERO);
        Parked { claim: Claim { job, fence: 1 }, due: Timestamp(due) }
    }

    #[test]
    fn polls_are_due_in_their_order_and_busy_providers_are_left_out() {
        let mut renders = ParkedRenders::default();
        let ids: Vec<_> = [("a", 20), ("b", 10), ("a", 5)]
            .map(|(provider_id, due)| parked(provider_id, due))
            .into_iter()
            .map(|render| {
                let id = render.claim.job.id.clone();
                renders.insert(render);
                id
            })
            .collect();
        let busy = ["a".to_owned()];
        assert_eq!((renders.next_due(&[]), renders.next_due(&busy)), (Some(Timestamp(5)), Some(Timestamp(10))));
        let take = |renders: &mut ParkedRenders, now, busy: &[String]| {
            renders.take_due(Timestamp(now), busy).map(|claim| claim.job.id)
        };
        assert_eq!(take(&mut renders, 9, &busy), None);
        assert_eq!(take(&mut renders, 10, &busy).as_ref(), Some(&ids[1]));
        assert_eq!(take(&mut renders, 10, &[]).as_ref(), Some(&ids[2]));
        assert_eq!(take(&mut renders, 10, &[]), None);
        assert!(renders.remove(&ids[0]).is_some());
        assert!(renders.drain().is_empty() && renders.by_provider.is_empty());
    }
}
