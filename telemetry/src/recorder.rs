//! The metrics recorder of the process.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of durations of calls, in seconds.
const CALL_BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];
/// Upper bounds of durations of jobs and their phases, in seconds. Videos take minutes, in a queue up to an hour.
const JOB_BUCKETS: [f64; 14] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

/// Returns the handle of the process-wide recorder, which the first call installs. Metrics that are looked up before that are
/// lost. If another recorder is installed already, that one receives all metrics and this handle renders an empty text.
pub fn install() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let buckets = [("triptych_job_", JOB_BUCKETS), ("triptych_", CALL_BUCKETS)];
        let builder = buckets.into_iter().fold(PrometheusBuilder::new(), |builder, (prefix, bounds)| {
            // Only an empty list of bounds is an error.
            let matcher = Matcher::Prefix(prefix.to_owned());
            builder.set_buckets_for_metric(matcher, &bounds).unwrap_or_else(|_| PrometheusBuilder::new())
        });
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed already; /metrics stays empty");
        }
        describe();
        handle
    })
}

fn describe() {
    use metrics::{describe_counter as counter, describe_histogram as histogram};
    counter!("triptych_client_disconnects_total", "Clients that disconnected before the end of their response.");
    counter!("triptych_model_requests_total", "Calls of a model, by API and status. 499: the client disconnected.");
    histogram!("triptych_model_request_seconds", "Time of a call of a model, to the end of its response.");
    histogram!("triptych_time_to_first_token_seconds", "Time to the first output of a streamed response.");
    histogram!("triptych_time_per_output_token_seconds", "Time per output token after the first one, of streams.");
    counter!("triptych_tokens_total", "Tokens, as upstreams report them.");
}
