//! Metrics of video jobs: the number and age of those that are not final, and the durations of the phases of those that have ended. The
//! source is the outbox table `job_events`, to which each change of state writes a row.

use std::collections::HashMap;

use metrics::{counter, gauge, histogram};
use triptych_telemetry::trace::{self, JobTransition, TraceParent};

use crate::{database::Database, metrics::float};

/// The states of jobs that are not final.
const ACTIVE: [&str; 4] = ["queued", "submitting", "rendering", "storing"];
/// How many events are read at a time.
const BATCH: i64 = 1000;

/// A job that is not final. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Active {
    state: &'static str,
    created_at: i64,
    /// When it entered the state.
    since: i64,
    /// When it was first submitted.
    submitted_at: Option<i64>,
    /// When the copy of its result began.
    stored_since: Option<i64>,
}

/// Follows the events of all jobs.
#[derive(Debug, Default)]
pub(super) struct JobTracker {
    /// The last event that was read.
    sequence: i64,
    active: HashMap<String, Active>,
}

/// A job that is not final: id, state, times of its creation, of its latest event, first submission and latest copy.
type Row = (String, String, i64, Option<i64>, Option<i64>, Option<i64>);

/// An event: sequence, job, state, time, provider, `traceparent` of the create.
type Event = (i64, String, String, i64, String, Option<String>);

impl JobTracker {
    /// Reads the jobs that are not final.
    pub(super) async fn load(database: &Database) -> Result<Self, sqlx::Error> {
        // Read before the jobs, so that no event is missed: one that is read twice changes nothing.
        let sequence = sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM job_events");
        let sequence: i64 = sequence.fetch_one(database.readers()).await?;
        let query = "SELECT id, phase, created_at, \
                     (SELECT MAX(created_at) FROM job_events WHERE job_id = id), \
                     (SELECT MIN(created_at) FROM job_events WHERE job_id = id AND kind = 'submitting'), \
                     (SELECT MAX(created_at) FROM job_events WHERE job_id = id AND kind = 'storing') \
                     FROM video_jobs WHERE deleted = 0 AND phase IN ('queued', 'submitting', 'rendering', 'storing')";
        let rows: Vec<Row> = sqlx::query_as(query).fetch_all(database.readers()).await?;
        let rows = rows.into_iter().filter_map(|(id, state, created_at, since, submitted_at, stored_since)| {
            let since = since.unwrap_or(created_at);
            Some((id, Active { state: active(&state)?, created_at, since, submitted_at, stored_since }))
        });
        Ok(Self { sequence, active: rows.collect() })
    }

    /// Reads the events since the last call. A job that was removed in between has no events left: its end is not counted.
    pub(super) async fn follow(&mut self, database: &Database) -> Result<(), sqlx::Error> {
        self.read_events(database).await?;
        let ids = serde_json::Value::from(self.active.keys().map(String::as_str).collect::<Vec<_>>()).to_string();
        let query = "SELECT value FROM json_each($1) AS listed WHERE NOT EXISTS (SELECT 1 FROM video_jobs WHERE id = listed.value)";
        let removed: Vec<String> = sqlx::query_scalar(query).bind(ids).fetch_all(database.readers()).await?;
        for id in removed {
            self.active.remove(&id);
        }
        Ok(())
    }

    async fn read_events(&mut self, database: &Database) -> Result<(), sqlx::Error> {
        let query = "SELECT sequence, job_id, kind, job_events.created_at, provider_id, \
                     CASE WHEN json_valid(origin) THEN json_extract(origin, '$.traceparent') END FROM job_events \
                     JOIN video_jobs ON video_jobs.id = job_id WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        loop {
            let events: Vec<Event> =
                sqlx::query_as(query).bind(self.sequence).bind(BATCH).fetch_all(database.readers()).await?;
            let Some(last) = events.last() else { return Ok(()) };
            self.sequence = last.0;
            for event in &events {
                self.record(event);
            }
        }
    }

    fn record(&mut self, (_, id, state, at, provider, traceparent): &Event) {
        if trace::is_enabled() {
            let from = self.active.get(id).map_or(*at, |job| job.since);
            let created_by = traceparent.as_deref().and_then(|parent| TraceParent::parse(parent, None));
            JobTransition { id, state, provider, from, to: *at, created_by }.record();
        }
        counter!("triptych_job_events_total", "state" => state.clone(), "provider" => provider.clone()).increment(1);
        let Some(state) = active(state) else {
            if let Some(job) = self.active.remove(id) {
                record_phases(&job, *at);
            }
            return;
        };
        let job = self.active.entry(id.clone()).or_insert_with(|| Active {
            state,
            created_at: *at,
            since: *at,
            submitted_at: None,
            stored_since: None,
        });
        (job.state, job.since) = (state, *at);
        match state {
            "submitting" => drop(job.submitted_at.get_or_insert(*at)),
            "storing" => job.stored_since = Some(*at),
            _ => {}
        }
    }

    /// Sets the numbers and ages of the jobs by state.
    pub(super) fn set_gauges(&self, now: i64) {
        for state in ACTIVE {
            let jobs = || self.active.values().filter(|job| job.state == state);
            let oldest = jobs().map(|job| now - job.since).max().unwrap_or(0);
            gauge!("triptych_jobs", "state" => state).set(float(i64::try_from(jobs().count()).unwrap_or(i64::MAX)));
            gauge!("triptych_job_oldest_seconds", "state" => state).set(seconds(oldest));
        }
    }
}

/// Records the durations of the phases of a job that has ended.
fn record_phases(job: &Active, ended_at: i64) {
    let phase = |phase: &'static str, from: i64, to: i64| {
        histogram!("triptych_job_phase_seconds", "phase" => phase).record(seconds(to - from));
    };
    phase("total", job.created_at, ended_at);
    phase("queue", job.created_at, job.submitted_at.unwrap_or(ended_at));
    if let Some(submitted_at) = job.submitted_at {
        phase("upstream", submitted_at, job.stored_since.unwrap_or(ended_at));
    }
    if let Some(stored_since) = job.stored_since {
        phase("download", stored_since, ended_at);
    }
}

/// Returns the name of a state that is not final.
fn active(state: &str) -> Option<&'static str> {
    ACTIVE.into_iter().find(|known| *known == state)
}

fn seconds(millis: i64) -> f64 {
    float(millis.max(0)) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn insert_job(database: &Database, id: &str, state: &str, at: i64) {
        let insert = "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, deadline_at, \
                      failures, deleted, provider_id) VALUES ($1, '', 1, $2, '{}', '{}', '{}', $3, 0, 0, 0, 'sampled')";
        sqlx::query(insert).bind(id).bind(state).bind(at).execute(database.writer()).await.unwrap();
    }

    async fn insert_event(database: &Database, id: &str, state: &str, at: i64) {
        let insert = "INSERT INTO job_events (job_id, owner, revision, kind, created_at) VALUES ($1, '', 1, $2, $3)";
        sqlx::query(insert).bind(id).bind(state).bind(at).execute(database.writer()).await.unwrap();
    }

    #[tokio::test]
    async fn jobs_are_counted_by_state_and_their_phases_timed() {
        let metrics = triptych_telemetry::recorder::install();
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("jobs.sqlite")).await.unwrap();
        // From an earlier process: it was submitted after a second.
        insert_job(&database, "old", "rendering", 1_000).await;
        for (state, at) in [("queued", 1_000), ("submitting", 2_000), ("rendering", 3_000)] {
            insert_event(&database, "old", state, at).await;
        }
        let mut tracker = JobTracker::load(&database).await.unwrap();
        insert_job(&database, "new", "queued", 5_000).await;
        insert_event(&database, "new", "queued", 5_000).await;
        tracker.follow(&database).await.unwrap();
        tracker.set_gauges(10_000);
        let text = metrics.render();
        for line in [
            r#"triptych_jobs{state="queued"} 1"#,
            r#"triptych_jobs{state="rendering"} 1"#,
            r#"triptych_jobs{state="storing"} 0"#,
            r#"triptych_job_oldest_seconds{state="queued"} 5"#,
            r#"triptych_job_oldest_seconds{state="rendering"} 7"#,
            r#"triptych_job_events_total{state="queued",provider="sampled"} 1"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }

        for (state, at) in [("storing", 32_000), ("succeeded", 34_000)] {
            insert_event(&database, "old", state, at).await;
        }
        tracker.follow(&database).await.unwrap();
        tracker.set_gauges(40_000);
        let text = metrics.render();
        for (phase, seconds) in [("queue", 1), ("upstream", 30), ("download", 2), ("total", 33)] {
            let line = format!("triptych_job_phase_seconds_sum{{phase=\"{phase}\"}} {seconds}\n");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(text.contains("triptych_jobs{state=\"rendering\"} 0\n"), "{text}");
        assert!(text.contains("triptych_job_phase_seconds_bucket{phase=\"total\",le=\"3600\"} 1\n"), "{text}");
        database.close().await;
    }

    #[tokio::test]
    async fn job_that_was_removed_with_its_events_is_no_longer_counted() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("jobs.sqlite")).await.unwrap();
        for id in ["removed", "kept"] {
            insert_job(&database, id, "rendering", 1_000).await;
        }
        let mut tracker = JobTracker::load(&database).await.unwrap();
        sqlx::query("DELETE FROM video_jobs WHERE id = 'removed'").execute(database.writer()).await.unwrap();
        tracker.follow(&database).await.unwrap();
        assert_eq!(tracker.active.keys().collect::<Vec<_>>(), ["kept"]);
        database.close().await;
    }
}
