//! The state of targets, the upstreams that serve a model, as the core knows it when metrics are scraped.

use triptych_proto::v1 as pb;

/// Writes the state of all targets of these models as metrics, in the text format of Prometheus. Not kept as gauges, which would go stale
/// when a target is removed.
pub fn write(text: &mut String, models: &[pb::Model]) {
    use pb::model::target::State::{Closed, HalfOpen, Open};
    let targets = || models.iter().flat_map(|model| model.targets.iter().map(move |target| (model, target)));
    let labels = |model: &pb::Model, target: &pb::model::Target| {
        let [model, name, upstream] = [&model.id, &target.name, &target.upstream_model].map(|text| escape(text));
        format!(r#"model="{model}",target="{name}",upstream_model="{upstream}""#)
    };
    let mut lines = Vec::new();
    for (model, target) in targets() {
        let labels = labels(model, target);
        for state in [Closed, HalfOpen, Open] {
            let (word, value) = (name(state), u8::from(target.state() == state));
            lines.push(format!("triptych_target_state{{{labels},state=\"{word}\"}} {value}\n"));
        }
    }
    if lines.is_empty() {
        return;
    }
    text.push_str(
        "# HELP triptych_target_state 1 for the current state of the target's circuit breaker, 0 for the others.\n",
    );
    text.push_str("# TYPE triptych_target_state gauge\n");
    text.extend(lines);
    text.push_str("# HELP triptych_target_in_flight Calls in flight at the target.\n");
    text.push_str("# TYPE triptych_target_in_flight gauge\n");
    text.extend(targets().map(|(model, target)| {
        format!("triptych_target_in_flight{{{}}} {}\n", labels(model, target), target.in_flight)
    }));
}

/// Escapes a label value for the text format.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// Returns the name of a circuit breaker state, which is that of `/v1/models`.
fn name(state: pb::model::target::State) -> &'static str {
    use pb::model::target::State;
    match state {
        State::Unspecified => "unknown",
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half_open",
    }
}
