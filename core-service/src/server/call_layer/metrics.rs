//! The metrics of gRPC calls. Each method keeps the handles of its metrics.

use std::{sync::OnceLock, time::Duration};

use metrics::{Counter, Histogram, counter, histogram};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use triptych_telemetry::Status;

/// The number of gRPC codes.
const CODES: usize = 17;

/// The metrics of all methods. Methods that the server does not have count as one, `other`: clients may call any name.
#[derive(Debug)]
pub(super) struct CallMetrics {
    methods: Vec<MethodMetrics>,
    other: MethodMetrics,
}

#[derive(Default)]
struct MethodMetrics {
    /// The service and the method.
    name: String,
    calls: [OnceLock<Counter>; CODES],
    seconds: OnceLock<Histogram>,
}

impl CallMetrics {
    /// Creates the metrics of the methods in these descriptors.
    pub(super) fn new(descriptors: &[&[u8]]) -> Self {
        let files = descriptors.iter().filter_map(|bytes| FileDescriptorSet::decode(*bytes).ok());
        let names = files.flat_map(|set| set.file).flat_map(|file| {
            let package = file.package().to_owned();
            file.service.into_iter().flat_map(move |service| {
                let service_name = format!("{package}.{}", service.name());
                service.method.into_iter().map(move |method| format!("{service_name}/{}", method.name()))
            })
        });
        Self { methods: names.map(MethodMetrics::new).collect(), other: MethodMetrics::new("other".to_owned()) }
    }

    /// Records the end of a call.
    pub(super) fn record(&self, method: &str, code: u8, elapsed: Duration) {
        // Comparing a few names costs less than hashing one.
        let known = self.methods.iter().find(|known| known.name == method).unwrap_or(&self.other);
        known.record(code, elapsed);
    }
}

impl MethodMetrics {
    fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    fn record(&self, code: u8, elapsed: Duration) {
        let calls = self.calls[usize::from(code).min(CODES - 1)].get_or_init(|| {
            let code = Status::Grpc(code).grpc_name().unwrap_or_default();
            counter!("triptych_grpc_requests_total", "method" => self.name.clone(), "code" => code)
        });
        calls.increment(1);
        let seconds = || histogram!("triptych_grpc_request_seconds", "method" => self.name.clone());
        self.seconds.get_or_init(seconds).record(elapsed);
    }
}

impl std::fmt::Debug for MethodMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_grpc_api_have_metrics_and_unknown_ones_share_theirs() {
        let text = triptych_telemetry::recorder::install();
        let metrics = CallMetrics::new(&[triptych_proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET]);
        for method in ["triptych.v1.ChatService/CreateChat", "grpc.health.v1.Health/Check", "made.Up/Name"] {
            // DATA_LOSS, a code that no other test of this process has: they share the recorder.
            metrics.record(method, 15, Duration::from_millis(3));
        }
        let text = text.render();
        for method in ["triptych.v1.ChatService/CreateChat", "grpc.health.v1.Health/Check", "other"] {
            let line = format!(r#"triptych_grpc_requests_total{{method="{method}",code="DATA_LOSS"}} 1"#);
            assert!(text.contains(&line), "{line} is not in\n{text}");
            let line = format!(r#"triptych_grpc_request_seconds_bucket{{method="{method}",le="0.005"}} "#);
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("made.Up"), "{text}");
    }
}
