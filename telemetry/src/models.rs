//! The metrics of models.
//!
//! Each model keeps the handles of its metrics: recording a call is a look-up of the model and a few atomic additions. The names
//! are those of the catalog, so that clients cannot add any.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use metrics::{Counter, Histogram, counter, histogram};

use crate::{
    call::{Api, Status, Timing},
    modality::Modality,
    report::Tokens,
};

/// The largest number of models with metrics of their own, over all reloads of the catalog. Further ones count as `other`.
const MAX_MODELS: usize = 1000;
/// The slots of HTTP statuses, 100 to 599, and of the gRPC codes behind them.
const HTTP_STATUSES: usize = 500;
const SLOTS: usize = HTTP_STATUSES + 17;

/// The label of further models.
const OVERFLOW: &str = "other";

static MODELS: LazyLock<Models> = LazyLock::new(Models::default);

/// The metrics of all models, by name.
#[derive(Default)]
struct Models(RwLock<HashMap<String, Arc<ModelMetrics>>>);

/// The metrics of one model.
pub(crate) struct ModelMetrics {
    modality: &'static str,
    model: String,
    /// By status; see [`slot`].
    requests: Box<[OnceLock<Counter>]>,
    seconds: OnceLock<Histogram>,
    first_token: OnceLock<Histogram>,
    per_token: OnceLock<Histogram>,
    /// Input, cached, output, reasoning.
    tokens: [OnceLock<Counter>; 4],
}

/// Returns the metrics of the model with this name.
pub(crate) fn metrics(modality: Modality, model: &str) -> Arc<ModelMetrics> {
    MODELS.metrics(modality, model)
}

impl Models {
    fn metrics(&self, modality: Modality, model: &str) -> Arc<ModelMetrics> {
        // A name has one modality.
        let known = |models: &HashMap<String, Arc<ModelMetrics>>| {
            let overflow = || (models.len() >= MAX_MODELS).then(|| models.get(overflow_key(modality))).flatten();
            models.get(model).or_else(overflow).map(Arc::clone)
        };
        if let Some(known) = known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return known;
        }
        let mut models = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (key, label) = if models.len() < MAX_MODELS { (model, model) } else { (overflow_key(modality), OVERFLOW) };
        Arc::clone(models.entry(key.to_owned()).or_insert_with(|| Arc::new(ModelMetrics::new(modality, label))))
    }
}

/// Returns the key of the further models of a modality. No model has it as its name.
fn overflow_key(modality: Modality) -> &'static str {
    match modality {
        Modality::Chat => "\0chat",
        Modality::Image => "\0image",
        Modality::Video => "\0video",
    }
}

/// Counts a client that disconnected before the end of its response.
pub(crate) fn client_disconnected(api: Api) {
    counter!("triptych_client_disconnects_total", "api" => api.as_str()).increment(1);
}

impl ModelMetrics {
    fn new(modality: Modality, model: &str) -> Self {
        Self {
            modality: modality.as_str(),
            model: model.to_owned(),
            requests: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            seconds: OnceLock::new(),
            first_token: OnceLock::new(),
            per_token: OnceLock::new(),
            tokens: Default::default(),
        }
    }

    /// Records the end of a call.
    pub(crate) fn record(&self, status: Status, timing: Timing, tokens: Option<Tokens>) {
        let (modality, api) = (self.modality, status.api().as_str());
        let requests = self.requests[slot(status)].get_or_init(|| {
            let (model, status) = (self.model.clone(), status.label());
            counter!("triptych_model_requests_total", "model" => model, "modality" => modality, "api" => api, "status" => status)
        });
        requests.increment(1);
        self.histogram(&self.seconds, "triptych_model_request_seconds").record(timing.total);
        if let Some(tokens) = tokens {
            self.count_tokens(tokens);
        }
        if let Some(first) = timing.first_output {
            self.histogram(&self.first_token, "triptych_time_to_first_token_seconds").record(first);
            let following = tokens.map_or(0, |tokens| tokens.output).saturating_sub(1);
            if following > 0 {
                let following = u32::try_from(following).unwrap_or(u32::MAX);
                let each: Duration = timing.total.saturating_sub(first) / following;
                self.histogram(&self.per_token, "triptych_time_per_output_token_seconds").record(each);
            }
        }
    }

    fn count_tokens(&self, tokens: Tokens) {
        let Tokens { input, cached, output, reasoning } = tokens;
        let kinds = [("input", input), ("cached", cached), ("output", output), ("reasoning", reasoning)];
        for (handle, (kind, amount)) in self.tokens.iter().zip(kinds) {
            if amount > 0 {
                let model = || self.model.clone();
                let tokens = || counter!("triptych_tokens_total", "model" => model(), "kind" => kind);
                handle.get_or_init(tokens).increment(amount);
            }
        }
    }

    fn histogram<'a>(&self, handle: &'a OnceLock<Histogram>, name: &'static str) -> &'a Histogram {
        handle.get_or_init(|| histogram!(name, "model" => self.model.clone(), "modality" => self.modality))
    }
}

/// Returns the slot of a status. Statuses that HTTP does not have share the last one of HTTP.
fn slot(status: Status) -> usize {
    match status {
        Status::Http(status) => usize::from(status).saturating_sub(100).min(HTTP_STATUSES - 1),
        Status::Grpc(code) => HTTP_STATUSES + usize::from(code).min(SLOTS - HTTP_STATUSES - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder;

    #[test]
    fn further_models_are_counted_by_modality() {
        let models = Models::default();
        for number in 0..MAX_MODELS {
            models.metrics(Modality::Chat, &format!("m{number}"));
        }
        let of = |modality, model: &str| {
            let metrics = models.metrics(modality, model);
            (metrics.modality, metrics.model.clone())
        };
        assert_eq!(of(Modality::Chat, "m1"), ("chat", "m1".to_owned()));
        for (modality, name) in [(Modality::Image, "image"), (Modality::Video, "video"), (Modality::Chat, "chat")] {
            assert_eq!(of(modality, "another"), (name, OVERFLOW.to_owned()));
        }
    }

    #[test]
    fn calls_tokens_and_times_are_recorded_by_model() {
        let text = recorder::install();
        let timing = Timing { total: Duration::from_secs(3), first_output: Some(Duration::from_secs(1)) };
        let tokens = Tokens { input: 10, cached: 0, output: 5, reasoning: 2 };
        metrics(Modality::Chat, "recorded").record(Status::Http(200), timing, Some(tokens));
        metrics(Modality::Chat, "recorded").record(Status::Grpc(14), timing, None);
        let text = text.render();
        for line in [
            r#"triptych_model_requests_total{model="recorded",modality="chat",api="rest",status="200"} 1"#,
            r#"triptych_model_requests_total{model="recorded",modality="chat",api="grpc",status="UNAVAILABLE"} 1"#,
            r#"triptych_model_request_seconds_count{model="recorded",modality="chat"} 2"#,
            r#"triptych_time_to_first_token_seconds_bucket{model="recorded",modality="chat",le="1"} 2"#,
            // Four tokens in the two seconds after the first one.
            r#"triptych_time_per_output_token_seconds_bucket{model="recorded",modality="chat",le="0.5"} 1"#,
            r#"triptych_time_per_output_token_seconds_bucket{model="recorded",modality="chat",le="0.25"} 0"#,
            r#"triptych_tokens_total{model="recorded",kind="input"} 10"#,
            r#"triptych_tokens_total{model="recorded",kind="reasoning"} 2"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains(r#"kind="cached""#), "{text}");
    }
}
