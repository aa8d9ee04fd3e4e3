//! The served models of one modality: the public names, and for each the provider and the provider's name of the model.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use triptych_proto::{time::Timestamp, v1 as pb};
use triptych_telemetry::{CallReport, Modality};

use crate::{discovery::DiscoveredModels, error::Error, name_pattern, prices::ModelNames, served_models::ServedModels};

/// The longest name, in bytes, that is passed through to an upstream.
const MAX_PASSED_NAME: usize = 256;

/// The models of one modality. The first is the default.
pub struct Models<P: ?Sized> {
    entries: Vec<Arc<Entry<P>>>,
    /// Models that are served under the requested name if no other entry has it. Their names are patterns, of which the first
    /// that matches counts.
    patterns: Vec<Arc<Entry<P>>>,
    /// The models that the upstreams of the patterns list.
    discovered: Arc<[DiscoveredModels]>,
    /// The names of the other modalities' models.
    elsewhere: HashMap<String, pb::Modality>,
    /// The setting that adds a model, with its environment variable, for error messages; empty until
    /// [`with_setting`](Self::with_setting).
    setting: &'static str,
}

/// One served model.
pub struct Entry<P: ?Sized> {
    /// The public name.
    pub id: String,
    /// The provider's name of the model.
    pub upstream_model: String,
    /// The name of the provider for clients: `offline`, or the vendor.
    pub owned_by: String,
    /// The id of the configured provider. Jobs store it, so it must stay the same across restarts.
    pub provider_id: String,
    /// Further public names.
    pub aliases: Vec<String>,
    /// The values of `Model.capabilities`.
    pub capabilities: Vec<&'static str>,
    /// Whether the model is served but neither listed nor suggested, as those of fault injection are.
    pub hidden: bool,
    /// The pattern by which the model is passed through to an upstream; `None` for a model of the catalog.
    pub passed_by: Option<String>,
    /// The provider that serves the model.
    pub provider: Arc<P>,
}

/// Whether clients see a model in lists and suggestions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Listed and suggested.
    Listed,
    /// Served only.
    Hidden,
}

impl<P: ?Sized> Models<P> {
    /// Creates the models from these entries, the default first.
    ///
    /// # Errors
    /// Two entries have the same name or alias, which is returned.
    pub fn new(entries: Vec<Entry<P>>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        for name in entries.iter().flat_map(Entry::names) {
            if !seen.insert(name) {
                return Err(name.to_owned());
            }
        }
        Ok(Self {
            entries: entries.into_iter().map(Arc::new).collect(),
            patterns: Vec::new(),
            discovered: Arc::default(),
            elsewhere: HashMap::new(),
            setting: "",
        })
    }

    /// Adds models that are passed through, whose names are patterns, and those that their upstreams list.
    #[must_use]
    pub(crate) fn with_patterns(self, patterns: Vec<Entry<P>>, discovered: Vec<DiscoveredModels>) -> Self {
        Self { patterns: patterns.into_iter().map(Arc::new).collect(), discovered: discovered.into(), ..self }
    }

    /// Returns the same models, with their providers, without the names of other modalities' models.
    #[must_use]
    pub(crate) fn without_others(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            patterns: self.patterns.clone(),
            discovered: Arc::clone(&self.discovered),
            elsewhere: HashMap::new(),
            setting: self.setting,
        }
    }

    /// Sets the name of the setting that adds a model, for the error for an unknown one.
    #[must_use]
    pub(crate) fn with_setting(self, setting: &'static str) -> Self {
        Self { setting, ..self }
    }

    /// Adds the names of another modality's models, so that the error for such a name says where the model is served.
    #[must_use]
    pub(crate) fn with_others<Q: ?Sized>(mut self, modality: pb::Modality, others: &Models<Q>) -> Self {
        let names = others.entries.iter().flat_map(|entry| entry.names());
        self.elsewhere.extend(names.map(|name| (name.to_owned(), modality)));
        self
    }

    /// Returns the model with this name or alias; the default for the empty name. The error for an unknown name names those of
    /// the other models that the caller may call, according to `may_call`.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`].
    pub fn find(&self, name: &str, may_call: impl Fn(&str) -> bool) -> Result<Arc<Entry<P>>, Error> {
        let found = match name {
            "" => self.entries.first(),
            name => self.entries.iter().find(|entry| entry.names().any(|known| known == name)),
        };
        let found = found.cloned().or_else(|| self.passed_through(name).map(Arc::new));
        found.ok_or_else(|| Error::ModelNotFound {
            model: name.to_owned(),
            served: Box::new(ServedModels::nearest(name, self.served(may_call), self.setting)),
            modality: self.elsewhere.get(name).copied().unwrap_or_default(),
        })
    }

    /// Returns the model with this name at an upstream, if the name is no other modality's and matches a pattern.
    pub(crate) fn passed_through(&self, name: &str) -> Option<Entry<P>> {
        if name.len() > MAX_PASSED_NAME || name_pattern::is_pattern(name) || self.elsewhere.contains_key(name) {
            return None;
        }
        let entry = self.patterns.iter().find(|entry| name_pattern::matches(&entry.id, name))?;
        Some(Entry {
            id: name.to_owned(),
            upstream_model: name.to_owned(),
            owned_by: entry.owned_by.clone(),
            provider_id: entry.provider_id.clone(),
            aliases: Vec::new(),
            capabilities: entry.capabilities.clone(),
            hidden: false,
            passed_by: Some(entry.id.clone()),
            provider: Arc::clone(&entry.provider),
        })
    }

    /// Returns the models that the upstreams list and that are passed through.
    pub(crate) fn discovered(&self) -> impl Iterator<Item = Entry<P>> {
        let mut seen: HashSet<_> = self.entries.iter().flat_map(|entry| entry.names()).map(str::to_owned).collect();
        let names = self.discovered.iter().flat_map(DiscoveredModels::names);
        names.filter(move |name| seen.insert(name.clone())).filter_map(|name| self.passed_through(&name))
    }

    /// Returns the provider with this id, for work that outlives the call that created it.
    pub fn provider(&self, provider_id: &str) -> Option<&Arc<P>> {
        self.entries.iter().find(|entry| entry.provider_id == provider_id).map(|entry| &entry.provider)
    }

    /// Returns all models, the default first.
    pub fn entries(&self) -> &[Arc<Entry<P>>] {
        &self.entries
    }

    /// Returns the id and the names of each listed model that `may_call` permits.
    pub(crate) fn served(
        &self,
        may_call: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let listed = self.entries.iter().filter(|entry| !entry.hidden).chain(&self.patterns);
        listed.filter(move |entry| may_call(&entry.id)).map(|entry| (entry.id.as_str(), entry.names()))
    }

    /// Returns the models with the fields that do not depend on health, the default first. The patterns of models that are passed
    /// through follow, without the models.
    pub(crate) fn describe(
        &self,
        modality: pb::Modality,
        create_time: Timestamp,
        included: Included,
    ) -> impl Iterator<Item = (&Entry<P>, pb::Model)> {
        let all = self.entries.iter().chain(&self.patterns).map(|entry| &**entry);
        let shown = all.enumerate().filter(move |(_, entry)| included == Included::All || !entry.hidden);
        shown.map(move |(position, entry)| {
            (entry, pb::Model { default: position == 0, ..entry.describe(modality, create_time) })
        })
    }
}

/// Which models a description contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Included {
    /// Those that are listed.
    Listed,
    /// The hidden ones too, which are served without being listed.
    All,
}

impl<P: ?Sized> Entry<P> {
    /// Reports the model of a call. The name of a model that is passed through is the client's: metrics have its pattern.
    pub(crate) fn report(&self, modality: Modality, report: &CallReport) {
        match &self.passed_by {
            Some(pattern) => report.set_passed_model(modality, &self.id, pattern),
            None => report.set_model(modality, &self.id),
        }
    }

    /// Returns the names by which prices refer to the model.
    pub(crate) fn price_names(&self) -> ModelNames<'_> {
        ModelNames { public: &self.id, upstream: &self.upstream_model, provider: &self.provider_id }
    }

    /// Returns a model of a connected provider, under the upstream's name of it.
    pub(crate) fn connected(
        name: &str,
        provider_id: &str,
        capabilities: impl Into<Vec<&'static str>>,
        provider: Arc<P>,
    ) -> Self {
        Self {
            id: name.to_owned(),
            upstream_model: name.to_owned(),
            owned_by: provider_id.to_owned(),
            provider_id: provider_id.to_owned(),
            aliases: Vec::new(),
            capabilities: capabilities.into(),
            hidden: false,
            passed_by: None,
            provider,
        }
    }

    /// Returns a model of a built-in engine.
    pub(crate) fn built_in(
        id: &str,
        aliases: &[&str],
        visibility: Visibility,
        capabilities: impl Into<Vec<&'static str>>,
        provider: Arc<P>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            upstream_model: id.to_owned(),
            owned_by: "offline".to_owned(),
            provider_id: "offline".to_owned(),
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            capabilities: capabilities.into(),
            hidden: visibility == Visibility::Hidden,
            passed_by: None,
            provider,
        }
    }

    /// Returns the model with the fields that depend neither on health nor on other models.
    pub(crate) fn describe(&self, modality: pb::Modality, create_time: Timestamp) -> pb::Model {
        pb::Model {
            id: self.id.clone(),
            modality: modality.into(),
            owned_by: self.owned_by.clone(),
            create_time: Some(create_time),
            default: false,
            aliases: self.aliases.clone(),
            capabilities: self.capabilities.iter().map(|&word| word.to_owned()).collect(),
            healthy: false,
            targets: Vec::new(),
            video: None,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

impl<P: ?Sized> fmt::Debug for Models<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.id)).finish()
    }
}

impl<P: ?Sized> fmt::Debug for Entry<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} at {})", self.id, self.upstream_model, self.owned_by)
    }
}
