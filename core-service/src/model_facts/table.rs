//! The table of facts: the entries of the settings (`video.model_facts`), followed by those of the compiled-in files, one per
//! provider.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::{Table, Value};

use super::ModelFacts;

/// The compiled-in files.
const FILES: [&str; 13] = [
    include_str!("tables/fal.toml"),
    include_str!("tables/gemini.toml"),
    include_str!("tables/kling.toml"),
    include_str!("tables/midjourney.toml"),
    include_str!("tables/minimax.toml"),
    include_str!("tables/offline.toml"),
    include_str!("tables/openai.toml"),
    include_str!("tables/runway.toml"),
    include_str!("tables/seedance.toml"),
    include_str!("tables/vertex.toml"),
    include_str!("tables/vidu.toml"),
    include_str!("tables/wan.toml"),
    include_str!("tables/xai.toml"),
];

/// The entries of the compiled-in files. A test parses each file, so that none is invalid; here an invalid file would have no
/// entries.
static BUILT_IN: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let parsed = FILES.map(|file| parse(file).inspect_err(|error| tracing::error!("a table of model facts: {error}")));
    parsed.into_iter().flat_map(Result::unwrap_or_default).collect()
});

/// The facts of all models.
#[derive(Debug, Clone, Default)]
pub struct FactsTable {
    /// The entries of the settings, which precede the compiled-in ones.
    configured: Arc<[Entry]>,
}

/// The facts of the models of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The id of the provider.
    provider: String,
    /// Parts of names, normalized: the entry is for models whose name contains one of them. An empty part is contained in all
    /// names.
    names: Vec<String>,
    facts: ModelFacts,
}

/// A table that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TableError(String);

/// Reads the entries of the settings, which have the form of the `[[models]]` of a compiled-in file; each has a member
/// `provider`, and its `outputs` are not shared.
impl<'de> Deserialize<'de> for FactsTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let models = Vec::<Table>::deserialize(deserializer)?;
        let entries: Result<Vec<_>, _> = models.into_iter().map(|model| entry(model, None, &Table::new())).collect();
        Ok(Self { configured: entries.map_err(D::Error::custom)?.into() })
    }
}

impl FactsTable {
    /// Returns the facts of a provider's model: those of the first entry that is for its name, otherwise [`ModelFacts::unknown`].
    pub fn find(&self, provider: &str, model: &str) -> ModelFacts {
        let model = normalized(model);
        let fits =
            |entry: &&Entry| entry.provider == provider && entry.names.iter().any(|part| model.contains(part.as_str()));
        let found = self.configured.iter().chain(BUILT_IN.iter()).find(fits);
        found.map_or_else(ModelFacts::unknown, |entry| entry.facts.clone())
    }
}

/// Returns a name in lower case, with hyphens for dots and underscores: vendors write both `Doubao-Seedance-2.5` and
/// `doubao-seedance-2-5`.
fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace(['.', '_'], "-")
}

/// Parses a file: `provider`, `[outputs.NAME]` with sizes that several models share, and one `[[models]]` per entry, the more
/// specific names first.
fn parse(text: &str) -> Result<Vec<Entry>, TableError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        provider: Option<String>,
        #[serde(default)]
        outputs: Table,
        models: Vec<Table>,
    }
    let File { provider, outputs, models } = toml::from_str(text).map_err(|error| TableError(error.to_string()))?;
    models.into_iter().map(|model| entry(model, provider.as_deref(), &outputs)).collect()
}

/// Reads an entry. `provider` is that of the file; `outputs` are the sizes that the entry can refer to by name.
fn entry(mut model: Table, provider: Option<&str>, outputs: &Table) -> Result<Entry, TableError> {
    let required = |key: &str| TableError(format!("{key}: is required"));
    let names: Vec<String> = take(&mut model, "names")?.ok_or_else(|| required("names"))?;
    let own: Option<String> = take(&mut model, "provider")?;
    let provider = own.or_else(|| provider.map(str::to_owned)).ok_or_else(|| required("provider"))?;
    for member in ["outputs", "outputs_with_frames"] {
        if let Some(shared) = model.get(member).and_then(Value::as_str).and_then(|name| outputs.get(name)) {
            model.insert(member.to_owned(), shared.clone());
        }
    }
    let facts = model.try_into().map_err(|error| TableError(format!("{provider}, {names:?}: {error}")))?;
    Ok(Entry { provider, names: names.iter().map(|name| normalized(name)).collect(), facts })
}

/// Removes a member of an entry, and parses it; `None` without it.
fn take<'de, T: Deserialize<'de>>(model: &mut Table, key: &str) -> Result<Option<T>, TableError> {
    let Some(value) = model.remove(key) else { return Ok(None) };
    value.try_into().map(Some).map_err(|error| TableError(format!("{key}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_facts::{Durations, Outputs};

    #[test]
    fn compiled_in_files_are_valid() {
        for file in FILES {
            assert!(!parse(file).unwrap().is_empty(), "{file}");
        }
    }

    /// Reads the entries of a configuration file.
    fn configured(text: &str) -> Result<FactsTable, String> {
        #[derive(Debug, Deserialize)]
        struct Settings {
            model_facts: FactsTable,
        }
        toml::from_str::<Settings>(text).map(|settings| settings.model_facts).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_of_the_settings_precede_the_compiled_in_ones() {
        let table = configured(
            r#"
            [[model_facts]]
            provider = "seedance"
            names = ["seedance-9"]
            seconds = [3, 9]
            outputs = { "480p" = { "1:1" = "640x640" } }
        "#,
        )
        .unwrap();
        let facts = table.find("seedance", "Doubao-Seedance-9.0-pro");
        assert_eq!(facts.seconds, Durations::Values(vec![3, 9]));
        assert!(matches!(facts.outputs, Outputs::Listed(outputs) if outputs.len() == 1));
        assert_eq!(table.find("openai", "seedance-9"), FactsTable::default().find("openai", "seedance-9"));
    }

    #[test]
    fn invalid_entries_are_refused_with_the_reason() {
        for (text, reason) in [
            ("[[model_facts]]\nprovider = \"x\"", "names: is required"),
            ("[[model_facts]]\nnames = [\"x\"]", "provider: is required"),
            ("[[model_facts]]\nprovider = \"p\"\nnames = [\"x\"]\nsecond = 1", "unknown field `second`"),
            ("[[model_facts]]\nprovider = \"p\"\nnames = [\"x\"]\noutputs = \"large\"", "expected `any`"),
            ("model_facts = 1", "invalid type"),
        ] {
            let error = configured(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
