//! The metrics recorder of the process.

use std::{
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of durations of calls, in seconds.
const CALL_BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];
/// Upper bounds of durations of jobs and their phases, in seconds. Videos take minutes, in a queue up to an hour.
const JOB_BUCKETS: [f64; 14] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

/// The histograms of jobs.
const JOB_HISTOGRAMS: [&str; 2] = ["triptych_job_phase_seconds", "triptych_job_poll_lag_seconds"];

/// Returns the handle of the process-wide recorder, which the first call installs. Metrics that are looked up before that are
/// lost. If another recorder is installed already, that one receives all metrics and this handle renders an empty text.
pub fn install() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        // The exporter prefers full names to prefixes, whatever the order here.
        let jobs = JOB_HISTOGRAMS.map(|name| (Matcher::Full(name.to_owned()), JOB_BUCKETS));
        let calls = (Matcher::Prefix("triptych_".to_owned()), CALL_BUCKETS);
        let buckets = jobs.into_iter().chain([calls]);
        let builder = buckets.fold(PrometheusBuilder::new(), |builder, (matcher, bounds)| {
            // Only an empty list of bounds is an error.
            builder.set_buckets_for_metric(matcher, &bounds).unwrap_or_else(|_| PrometheusBuilder::new())
        });
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed already; /metrics stays empty");
        }
        describe();
        let version = env!("CARGO_PKG_VERSION");
        metrics::gauge!("triptych_build_info", "version" => version).set(1.0);
        metrics::gauge!("triptych_start_time_seconds").set(start_time());
        handle
    })
}

/// Returns the time of the first call, in seconds since 1970.
fn start_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64()).unwrap_or_default()
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    gauge!("triptych_build_info", "1, with the version as a label.");
    gauge!("triptych_start_time_seconds", "When the process started, in seconds since 1970.");
    gauge!("triptych_connections_open", "Open connections, by API.");
    counter!("triptych_connections_total", "Connections that were accepted, by API.");
    counter!("triptych_server_refusals_total", "Connections and requests that a limit of the server refused.");
    counter!("triptych_tls_handshake_failures_total", "TLS handshakes that failed or took too long, by API and cause.");
    counter!("triptych_tls_certificate_reload_total", "Reads of certificate files by reloads, by place and result.");
    gauge!("triptych_tls_certificate_reload_success", "0 if the last read of the files failed, by place; otherwise 1.");
    gauge!("triptych_tls_certificate_expiry_timestamp_seconds", "When the certificate expires, in seconds since 1970.");
    counter!("triptych_client_disconnects_total", "Clients that disconnected before the end of their response.");
    counter!("triptych_model_requests_total", "Calls of a model, by API and status. 499: the client disconnected.");
    histogram!("triptych_model_request_seconds", "Time of a call of a model, to the end of its response.");
    histogram!("triptych_time_to_first_token_seconds", "Time to the first output of a streamed response.");
    histogram!("triptych_time_per_output_token_seconds", "Time per output token after the first one, of streams.");
    counter!("triptych_tokens_total", "Tokens, as upstreams report them.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_jobs_have_buckets_to_an_hour_and_those_of_calls_to_five_minutes() {
        let handle = install();
        for name in ["triptych_job_phase_seconds", "triptych_job_poll_lag_seconds", "triptych_other_seconds"] {
            metrics::histogram!(name).record(1.0);
        }
        let text = handle.render();
        let last = |name: &str| {
            let bounds = text.lines().filter_map(|line| line.strip_prefix(&format!("{name}_bucket{{le=\"")));
            bounds.filter_map(|line| line.split('"').next()?.parse::<f64>().ok()).rfind(|bound| bound.is_finite())
        };
        assert_eq!(last("triptych_job_phase_seconds"), Some(3600.0), "{text}");
        assert_eq!(last("triptych_job_poll_lag_seconds"), Some(3600.0), "{text}");
        assert_eq!(last("triptych_other_seconds"), Some(300.0), "{text}");
    }
}
