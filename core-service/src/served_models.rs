//! The part of the error for an unknown model that suggests served models.

use std::fmt::{self, Display, Formatter};

/// The Jaro-Winkler similarity, 0 to 1, from which on a name is suggested.
const MIN_SIMILARITY: f64 = 0.82;

/// How many names are in a message at most.
const MAX_NAMES: usize = 3;

/// The served models nearest to a name that is not served. Displays as the end of the message that
/// begins with "model `x` does not exist".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModels {
    /// Similar names, the most similar first; without one, the first names of the catalog.
    names: Vec<String>,
    /// Whether `names` are similar to the requested name.
    similar: bool,
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
        let (similar, count) = (!ranked.is_empty(), ids.len());
        let names: Vec<_> = if similar { ranked.into_iter().map(|(_, name)| name).collect() } else { ids };
        Self { names: names.into_iter().take(MAX_NAMES).map(str::to_owned).collect(), similar, count, setting }
    }
}

impl Display for ServedModels {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { names, similar, count, setting } = self;
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let models = if *count == 1 { "model is" } else { "models are" };
        if *similar {
            write!(f, "; did you mean {}? {count} {models} served", names.join(" or "))?;
        } else {
            let (separator, example) = match *count {
                0 => ("", ""),
                count if count == names.len() => (": ", ""),
                _ => (", ", "for example "),
            };
            write!(f, "; {count} {models} served{separator}{example}{}", names.join(", "))?;
        }
        f.write_str("; GET /v1/models (ModelService.ListModels) lists them")?;
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
    fn similar_names_are_suggested_with_the_count_and_the_setting() {
        let ids = ["qwen-plus", "qwen-max", "deepseek-v3", "glm-5"];
        let expected = "; did you mean `qwen-max` or `qwen-plus`? 4 models are served; GET /v1/models \
                        (ModelService.ListModels) lists them; the operator adds one in chat.models (TRIPTYCH_CHAT_MODELS)";
        assert_eq!(text("Qwen-Mas", &ids, "chat.models (TRIPTYCH_CHAT_MODELS)"), expected);
    }

    #[test]
    fn without_a_similar_name_the_first_models_are_named() {
        let list = "; GET /v1/models (ModelService.ListModels) lists them";
        let many = text("gpt-4o", &["a", "b", "c", "d"], "");
        assert_eq!(many, format!("; 4 models are served, for example `a`, `b`, `c`{list}"));
        assert_eq!(text("gpt-4o", &["a", "b"], ""), format!("; 2 models are served: `a`, `b`{list}"));
        assert_eq!(text("gpt-4o", &["a"], ""), format!("; 1 model is served: `a`{list}"));
        assert_eq!(text("gpt-4o", &[], ""), format!("; 0 models are served{list}"));
    }

    #[test]
    fn an_alias_is_suggested_and_its_model_counts_once() {
        let served = [("own", ["own", "gpt-4o", "gpt-4"].into_iter())].into_iter();
        let text = ServedModels::nearest("gpt-4-o", served, "").to_string();
        assert!(text.starts_with("; did you mean `gpt-4o` or `gpt-4`? 1 model is served"), "{text}");
    }
}
