//! The end of a call: its line in the access log, the end of its span, and the metrics of its model.

use crate::{
    access_log,
    call::{CallEnd, Status, Timing},
    models,
    report::CallReport,
    trace::{OpenSpan, names},
};

/// The gRPC codes that are failures of the server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
const SERVER_ERRORS: [u8; 6] = [2, 4, 12, 13, 14, 15];

impl CallEnd<'_> {
    /// Writes the line of the access log, ends the span of the call, and records the metrics of the model, as far as the call has these.
    pub fn finish(&self, report: &CallReport) {
        let elapsed = report.elapsed();
        access_log::write(self, report, elapsed);
        if let Some(span) = report.take_span() {
            self.end_span(span, report);
        }
        if self.status.is_client_closed() {
            models::client_disconnected(self.status.api());
        }
        report.read(|facts| {
            if let Some((modality, model)) = &facts.model {
                let timing = Timing { total: elapsed, first_output: report.first_output() };
                models::metrics(*modality, facts.model_label.as_ref().unwrap_or(model)).record(
                    self.status,
                    timing,
                    facts.tokens,
                );
            }
        });
    }
}

impl CallEnd<'_> {
    /// Ends the span of the call with what is known of it.
    fn end_span(&self, mut span: OpenSpan, report: &CallReport) {
        span.set(names::REQUEST_ID, self.request_id.to_owned());
        match self.status {
            Status::Http(status) => {
                span.set(names::HTTP_METHOD, self.method.to_owned());
                span.set(names::HTTP_ROUTE, self.route.to_owned());
                span.set(names::HTTP_STATUS, i64::from(status));
                if status >= 500 {
                    span.fail(status.to_string());
                }
            }
            Status::Grpc(code) => {
                span.set(names::RPC_SYSTEM, "grpc");
                span.set(names::RPC_METHOD, self.route.to_owned());
                span.set(names::RPC_STATUS, i64::from(code));
                if SERVER_ERRORS.contains(&code) {
                    span.fail(self.status.label());
                }
            }
        }
        if let Some(first) = report.first_output() {
            span.set(names::FIRST_TOKEN, first.as_secs_f64());
        }
        report.read(|facts| {
            if let Some(caller) = &facts.caller {
                span.set(names::CALLER, caller.clone());
            }
            if let Some(client) = facts.client {
                span.set(names::CLIENT_ADDRESS, client.to_string());
            }
            if let Some((modality, model)) = &facts.model {
                span.set_model(*modality, model);
            }
            if let Some(upstream) = &facts.upstream {
                span.set(names::GEN_AI_PROVIDER, upstream.clone());
                span.set(names::ATTEMPTS, i64::try_from(facts.attempts).unwrap_or(i64::MAX));
            }
            if let Some(tokens) = facts.tokens {
                span.set(names::GEN_AI_INPUT_TOKENS, i64::try_from(tokens.input).unwrap_or(i64::MAX));
                span.set(names::GEN_AI_OUTPUT_TOKENS, i64::try_from(tokens.output).unwrap_or(i64::MAX));
            }
            if let Some(video) = &facts.video {
                span.set(names::JOB_ID, video.clone());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Modality, recorder};

    #[test]
    fn model_that_is_passed_through_counts_under_its_pattern() {
        let text = recorder::install();
        let report = CallReport::new(None);
        report.set_passed_model(Modality::Chat, "made-up-by-the-client", "passed-*");
        let end = CallEnd {
            request_id: "req_1",
            method: "POST",
            route: "/v1/chat/completions",
            status: Status::Http(200),
            bytes: 0,
            forwarded_for: None,
            is_probe: false,
        };
        end.finish(&report);
        let text = text.render();
        let line = r#"triptych_model_requests_total{model="passed-*",modality="chat",api="rest",status="200"} 1"#;
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("made-up-by-the-client"), "{text}");
    }
}
