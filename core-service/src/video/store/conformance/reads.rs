//! Single jobs, pages and queue positions.

use super::*;

pub(super) async fn a_job_is_read_as_it_was_written(store: Store) {
    let call = call("alice", None, "body");
    // All optional columns are set, and the task needs escapes in JSON.
    let mut all = keyed(&call);
    all.origin = JobOrigin { request_id: "req_1".to_owned(), traceparent: Some("t".to_owned()), tracestate: None };
    all.state =
        JobState::Rendering { task: UpstreamTask("t\"\\ü".to_owned()), percent: 40, missing: 0, since: Some(NOW) };
    all.priority = crate::priority::Priority::High;
    all.completed_at = Some(NOW.after(LEASE));
    all.expires_at = Some(NOW.after(DEADLINE));
    all.abandoned = Some(UpstreamTask("a".to_owned()));
    all.submissions = 2;
    all.failures = 3;
    all.revision = 7;
    assert_eq!(store.insert(&all, Some(&call), &LIMITS).await.unwrap(), Inserted::New);
    let bare = insert(&store, job()).await;
    assert_eq!(store.get(&all.id, &Owners::All).await.unwrap().as_ref(), Some(&all));
    assert_eq!(store.get(&bare.id, &Owners::All).await.unwrap(), Some(bare));
    assert_eq!(store.find(&call).await.unwrap(), Some(all));
    assert_eq!(store.get(&JobId::new(), &Owners::All).await.unwrap(), None);
}

pub(super) async fn pages_are_consecutive_in_both_orders(store: Store) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(insert(&store, job()).await.id);
    }
    assert_eq!(list_ids(&store, 2, None, true).await, ids[..2]);
    assert_eq!(list_ids(&store, 2, Some(&ids[1]), true).await, ids[2..4]);
    assert_eq!(list_ids(&store, 2, Some(&ids[3]), true).await, ids[4..]);
    // Jobs created meanwhile shift no page.
    let newest = insert(&store, job()).await.id;
    assert_eq!(list_ids(&store, 3, Some(&ids[4]), false).await, [ids[3].clone(), ids[2].clone(), ids[1].clone()]);
    assert_eq!(list_ids(&store, 1, None, false).await, [newest]);
    assert_eq!(list_ids(&store, 0, None, false).await, []);
}

pub(super) async fn a_page_continues_after_a_job_that_no_longer_exists(store: Store) {
    let (first, gone) = (insert(&store, job()).await, JobId::new());
    let last = insert(&store, job()).await;
    assert_eq!(list_ids(&store, 5, Some(&gone), true).await, [last.id]);
    assert_eq!(list_ids(&store, 5, Some(&gone), false).await, [first.id]);
}

pub(super) async fn a_list_can_be_restricted_to_an_owner(store: Store) {
    let (one, two) = (insert(&store, job_of("alice")).await, insert(&store, job_of("alice")).await);
    insert(&store, job_of("bob")).await;
    let page = |oldest_first, after| Page {
        limit: 9,
        after,
        oldest_first,
        owners: Owners::Only(Owner::new("alice")),
        ..Page::default()
    };
    let list = async |page| -> Vec<JobId> {
        let jobs: Vec<Job> = store.list(&page).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    };
    assert_eq!(list(page(true, None)).await, [one.id.clone(), two.id.clone()]);
    assert_eq!(list(page(false, Some(two.id))).await, [one.id]);
}

pub(super) async fn a_list_can_be_filtered_by_state_and_model_and_its_pages_are_full(store: Store) {
    let [mut queued, mut cancelled, mut rendered] = [const { Vec::new() }; 3];
    for number in 0..9 {
        let mut job = job_of(if number == 0 { "bob" } else { "alice" });
        job.request.model = if number % 2 == 0 { "even" } else { "odd" }.to_owned();
        let job = insert(&store, job).await;
        let (state, next) = match number % 3 {
            0 => (&mut queued, None),
            1 => (&mut cancelled, Some(job.cancelled(NOW, None).unwrap())),
            _ => {
                let state =
                    JobState::Succeeded { media: Vec::new(), task: None, content: None, usage: RenderUsage::default() };
                (&mut rendered, Some(Job { state, revision: job.revision + 1, ..job.clone() }))
            }
        };
        if let Some(next) = next {
            store.amend(&job, &next).await.unwrap();
        }
        state.push(job.id);
    }
    let list = async |phases: &[Phase], model: &str, after: Option<&JobId>, oldest_first| -> Vec<JobId> {
        let (phases, model, after) = (phases.to_vec(), model.to_owned(), after.cloned());
        let page = Page { limit: 2, after, oldest_first, owners: Owners::All, phases, model };
        store.list(&page).await.unwrap().into_iter().map(|job| job.id).collect()
    };
    for (phase, ids) in [(Phase::Queued, &queued), (Phase::Cancelled, &cancelled), (Phase::Succeeded, &rendered)] {
        assert_eq!(list(&[phase], "", None, true).await, ids[..2], "{phase:?}");
        assert_eq!(list(&[phase], "", Some(&ids[1]), true).await, ids[2..], "{phase:?}");
        assert_eq!(list(&[phase], "", None, false).await, [ids[2].clone(), ids[1].clone()], "{phase:?}");
        assert_eq!(list(&[phase], "", Some(&ids[1]), false).await, ids[..1], "{phase:?}");
    }
    let two = list(&[Phase::Cancelled, Phase::Succeeded], "", Some(&queued[1]), true).await;
    assert_eq!(two, [cancelled[1].clone(), rendered[1].clone()]);
    assert_eq!(list(&[], "odd", Some(&cancelled[0]), true).await, [queued[1].clone(), rendered[1].clone()]);
    assert_eq!(list(&[Phase::Cancelled], "odd", None, true).await, [cancelled[0].clone(), cancelled[2].clone()]);
    assert_eq!(list(&[Phase::Rendering], "", None, true).await, []);
    assert_eq!(list(&[], "eve", None, true).await, []);
    let of_bob = Page {
        limit: 9,
        owners: Owners::Only(Owner::new("bob")),
        phases: vec![Phase::Queued],
        model: "even".to_owned(),
        ..Page::default()
    };
    assert_eq!(store.list(&of_bob).await.unwrap().len(), 1);
}

pub(super) async fn the_queue_position_counts_earlier_queued_jobs(store: Store) {
    let (a, b, c) = (insert(&store, job()).await, insert(&store, job()).await, insert(&store, job()).await);
    let positions = async |ids: &[&JobId]| {
        let ids: Vec<_> = ids.iter().copied().cloned().collect();
        store.queue_positions(&ids).await.unwrap()
    };
    assert_eq!(positions(&[]).await, Vec::<u32>::new());
    assert_eq!(positions(&[&c.id, &a.id, &b.id]).await, [2, 0, 1]);
    store.amend(&a, &a.cancelled(NOW, None).unwrap()).await.unwrap();
    assert_eq!(positions(&[&c.id]).await, [1]);
    assert_eq!(positions(&[&b.id]).await, [0]);
}

pub(super) async fn jobs_of_other_owners_do_not_exist(store: Store) {
    let (alice, anonymous) = (insert(&store, job_of("alice")).await, insert(&store, job()).await);
    let only = |owner| Owners::Only(Owner::new(owner));
    assert_eq!(store.get(&alice.id, &only("alice")).await.unwrap().as_ref(), Some(&alice));
    for other in ["bob", "alic", "Alice", ""] {
        assert_eq!(store.get(&alice.id, &only(other)).await.unwrap(), None, "{other}");
    }
    assert_eq!(store.get(&anonymous.id, &only("alice")).await.unwrap(), None);
    assert_eq!(store.get(&anonymous.id, &only("")).await.unwrap(), Some(anonymous));
    assert!(store.contains(&alice.id).await.unwrap() && !store.contains(&JobId::new()).await.unwrap());
}

pub(super) async fn a_list_has_no_extra_members(store: Store) {
    let mut inserted = insert(&store, job()).await;
    assert!(!inserted.request.parameters.extra_json.is_empty());
    inserted.request.parameters.extra_json.clear();
    assert_eq!(store.list(&Page { limit: 1, ..Page::default() }).await.unwrap(), [inserted]);
}

pub(super) async fn a_render_is_found_at_the_other_jobs_of_its_provider(store: Store) {
    let mut job = job();
    let task = UpstreamTask("t\"\\ü".to_owned());
    job.state = JobState::Succeeded {
        media: Vec::new(),
        task: Some(task.clone()),
        content: None,
        usage: RenderUsage::default(),
    };
    insert(&store, job.clone()).await;
    let has =
        async |provider: &str, task: &UpstreamTask, id: &JobId| store.has_render(provider, task, id).await.unwrap();
    let other = JobId::new();
    assert!(has("offline", &task, &other).await);
    assert!(!has("offline", &task, &job.id).await);
    assert!(!has("elsewhere", &task, &other).await);
    assert!(!has("offline", &UpstreamTask("u".to_owned()), &other).await);
}
