//! The part of the error for an unknown model that suggests served models.

use std::fmt::{self, Display, Formatter};

/// The Jaro-Winkler similarity, 0 to 1, from which on a name is suggested.
const MIN_SIMILARITY: f64 = 0.82;

/// How many similar names are suggested at most.
const MAX_SUGGESTIONS: usize = 3;

/// How many served models are named at most.
const MAX_NAMES: usize = 20;

/// How long the names of served models are together at most, in bytes: a status travels in headers, which clients limit.
const MAX_NAMES_LENGTH: usize = 1000;

/// The served models nearest to a name that is not served. Displays as the end of the message that
/// begins with "model `x` does not exist".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModels {
    /// Similar names, the most similar first.
    similar: Vec<String>,
    /// The first models of the catalog.
    names: Vec<String>,
    /// The number of served models.
    count: usize,
    /// The setting that adds a model, with its environment variable; empty if it depends on the modality.
    setting: &'static str,
}

impl ServedModels {
    /// Selects the names for a message from those of the served models, which are `(id, names)` with `id` among `names`.
    pub(crate) fn nearest<'a, N: Iterator<Item = &'a str>>(
        requested: &str,
        served: impl Iterator<Item = (&'a str, N)>,
        setting: &'static str,
    ) -> Self {
        let (mut ids, mut ranked) = (Vec::new(), Vec::new());
        let requested = requested.to_lowercase();
        for (id, names) in served {
            ids.push(id);
            ranked.extend(names.map(|name| (strsim::jaro_winkler(&requested, &name.to_lowercase()), name)));
        }
        ranked.retain(|&(similarity, _)| similarity >= MIN_SIMILARITY);
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let mut length = 0;
        let fits = |id: &&&str| {
            length += id.len();
            length <= MAX_NAMES_LENGTH
        };
        let names = ids.iter().take(MAX_NAMES).take_while(fits).map(|&id| id.to_owned()).collect();
        let similar = ranked.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect();
        Self { similar, names, count: ids.len(), setting }
    }
}

impl Display for ServedModels {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { similar, names, count, setting } = self;
        let quoted = |names: &[String], separator: &str| {
            let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            quoted.join(separator)
        };
        f.write_str(";")?;
        if !similar.is_empty() {
            write!(f, " did you mean {}?", quoted(similar, " or "))?;
        }
        write!(f, " {count} {} served", if *count == 1 { "model is" } else { "models are" })?;
        if !names.is_empty() {
            write!(f, ": {}", quoted(names, ", "))?;
        }
        match count - names.len() {
            0 => {}
            _ if names.is_empty() => f.write_str("; GET /v1/models (ModelService.ListModels) lists them")?,
            more => write!(f, " and {more} more (GET /v1/models, ModelService.ListModels)")?,
        }
        if setting.is_empty() { Ok(()) } else { write!(f, "; the operator adds one in {setting}") }
    }
}

#[cfg(test)]
mod tests {
    use super::ServedModels;

    fn text(requested: &str, ids: &[&'static str], setting: &'static str) -> String {
        let served = ids.iter().map(|&id| (id, std::iter::once(id)));
        ServedModels::nearest(requested, served, setting).to_string()
    }

    #[test]
    fn similar_names_are_suggested_with_the_served_models_and_the_setting() {
        let ids = ["qwen-plus", "qwen-max", "deepseek-v3", "glm-5"];
        let expected = "; did you mean `qwen-max` or `qwen-plus`? 4 models are served: `qwen-plus`, `qwen-max`, `deepseek-v3`, \
                        `glm-5`; the operator adds one in chat.models (TRIPTYCH_CHAT_MODELS)";
        assert_eq!(text("Qwen-Mas", &ids, "chat.models (TRIPTYCH_CHAT_MODELS)"), expected);
    }

    #[test]
    fn twenty_served_models_are_named_and_the_others_counted() {
        assert_eq!(text("gpt-4o", &["a", "b"], ""), "; 2 models are served: `a`, `b`");
        assert_eq!(text("gpt-4o", &["a"], ""), "; 1 model is served: `a`");
        assert_eq!(text("gpt-4o", &[], ""), "; 0 models are served");
        let many: Vec<&'static str> = "abcdefghijklmnopqrstuv".split("").filter(|id| !id.is_empty()).collect();
        let message = text("gpt-4o", &many, "");
        let end = "`s`, `t` and 2 more (GET /v1/models, ModelService.ListModels)";
        assert!(message.starts_with("; 22 models are served: `a`, `b`, ") && message.ends_with(end), "{message}");
        assert!(text("gpt-4o", &many[..20], "").ends_with("`s`, `t`"));
    }

    #[test]
    fn long_names_leave_a_message_short() {
        let long: &'static str = "x".repeat(400).leak();
        let message = text("gpt-4o", &[long, long, long], "");
        assert!(message.len() < 1000 && message.ends_with("x` and 1 more (GET /v1/models, ModelService.ListModels)"));
        let endless: &'static str = "x".repeat(2000).leak();
        let expected = "; 1 model is served; GET /v1/models (ModelService.ListModels) lists them";
        assert_eq!(text("gpt-4o", &[endless], ""), expected);
    }

    #[test]
    fn an_alias_is_suggested_and_its_model_counts_once() {
        let served = [("own", ["own", "gpt-4o", "gpt-4"].into_iter())].into_iter();
        let text = ServedModels::nearest("gpt-4-o", served, "").to_string();
        assert!(text.starts_with("; did you mean `gpt-4o` or `gpt-4`? 1 model is served"), "{text}");
    }
}
