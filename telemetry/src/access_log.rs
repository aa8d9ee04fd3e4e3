//! The access log: one line for each call of either API. `docs/telemetry.md` has the table of its keys, which are stable.

use std::time::Duration;

use tracing::{Level, event, level_enabled};

use crate::{
    call::{CallEnd, Status},
    report::CallReport,
};

/// The target of the lines, for filters such as `info,triptych::access=off`.
const TARGET: &str = "triptych::access";
/// The longest `X-Forwarded-For` that is logged, in bytes.
const MAX_FORWARDED_FOR: usize = 128;

/// Writes the line of a call. Fields without a value are left out.
pub(crate) fn write(end: &CallEnd<'_>, report: &CallReport, elapsed: Duration) {
    // A root event: the line has all that the span of the call has, under stable keys.
    macro_rules! line {
        ($level:expr) => {
            report.read(|facts| {
                let status = match end.status {
                    Status::Http(status) => Some(status),
                    Status::Grpc(_) => None,
                };
                event!(
                    target: TARGET,
                    parent: None,
                    $level,
                    api = end.status.api().as_str(),
                    request_id = end.request_id,
                    caller = facts.caller.as_deref(),
                    method = end.method,
                    route = end.route,
                    status,
                    grpc_status = end.status.grpc_name(),
                    ms = millis(elapsed),
                    first_token_ms = report.first_output().map(millis),
                    modality = facts.model.as_ref().map(|(modality, _)| modality.as_str()),
                    model = facts.model.as_ref().map(|(_, id)| id.as_str()),
                    upstream = facts.upstream.as_deref(),
                    attempts = (facts.attempts > 0).then_some(facts.attempts),
                    input_tokens = facts.tokens.map(|tokens| tokens.input),
                    output_tokens = facts.tokens.map(|tokens| tokens.output),
                    video = facts.video.as_deref(),
                    bytes = end.bytes,
                    client = facts.client.map(tracing::field::display),
                    forwarded_for = end.forwarded_for.map(forwarded_for),
                    "access"
                );
            })
        };
    }
    if end.is_probe {
        if level_enabled!(Level::DEBUG) {
            line!(Level::DEBUG);
        }
    } else if level_enabled!(Level::INFO) {
        line!(Level::INFO);
    }
}

/// Returns milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn forwarded_for(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_FORWARDED_FOR)]
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::subscriber::with_default;

    use super::*;
    use crate::{Client, Modality, Tokens};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns what is logged of a call at the level `info`.
    fn logged(end: &CallEnd<'_>, report: &CallReport) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        with_default(subscriber, || {
            // Must not be in the line.
            let _span = tracing::info_span!("request", secret = 1).entered();
            write(end, report, Duration::from_micros(1500));
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    const END: CallEnd<'static> = CallEnd {
        request_id: "req_1",
        method: "POST",
        route: "/v1/chat/completions",
        status: Status::Http(200),
        bytes: 7,
        forwarded_for: None,
        is_probe: false,
    };

    #[test]
    fn line_has_all_that_is_known_under_stable_keys() {
        let report = CallReport::new(Some(Client::Ip([192, 0, 2, 1].into())));
        report.set_caller("alice");
        report.set_model(Modality::Chat, "m");
        report.add_attempt("near");
        report.set_tokens(Tokens { input: 3, output: 4, ..Tokens::default() });
        let line = logged(&CallEnd { forwarded_for: Some("203.0.113.9"), ..END }, &report);
        let expected = r#""message":"access","api":"rest","request_id":"req_1","caller":"alice","method":"POST","route":"/v1/chat/completions","status":200,"ms":1.5,"modality":"chat","model":"m","upstream":"near","attempts":1,"input_tokens":3,"output_tokens":4,"bytes":7,"client":"192.0.2.1","forwarded_for":"203.0.113.9","target":"triptych::access""#;
        assert!(line.contains(expected), "{line}");
    }

    #[test]
    fn unknown_facts_are_left_out_and_a_grpc_status_is_a_name() {
        let line = logged(&CallEnd { status: Status::Grpc(5), ..END }, &CallReport::new(None));
        let expected = r#""message":"access","api":"grpc","request_id":"req_1","method":"POST","route":"/v1/chat/completions","grpc_status":"NOT_FOUND","ms":1.5,"bytes":7,"target":"triptych::access""#;
        assert!(line.contains(expected), "{line}");
    }

    #[test]
    fn client_of_a_unix_socket_has_no_address() {
        let line = logged(&END, &CallReport::new(Some(Client::UnixSocket)));
        assert!(line.contains(r#""client":"unix""#), "{line}");
    }

    #[test]
    fn probes_are_not_logged_at_info_and_long_headers_are_cut() {
        assert_eq!(logged(&CallEnd { is_probe: true, ..END }, &CallReport::new(None)), "");
        let long = "é".repeat(100);
        let line = logged(&CallEnd { forwarded_for: Some(&long), ..END }, &CallReport::new(None));
        assert!(line.contains(&format!(r#""forwarded_for":"{}""#, "é".repeat(64))), "{line}");
    }
}
