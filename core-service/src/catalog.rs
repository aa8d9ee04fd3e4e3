//! Which models exist: a public name stands for a provider and the provider's own name of the model.

use std::{fmt, sync::Arc};

use triptych_proto::{
    time::{self, Timestamp},
    v1 as pb,
};

use crate::{chat::ChatProvider, error::Error, image::ImageProvider, video::VideoProvider};

/// Names this far from the one asked for (Jaro-Winkler, 0 to 1) are suggested.
const NEAR: f64 = 0.82;

/// All served models, one shelf per panel. Built once, at start.
#[derive(Debug)]
pub struct Catalog {
    /// Conversations.
    pub chat: Models<dyn ChatProvider>,
    /// Pictures.
    pub image: Models<dyn ImageProvider>,
    /// Clips.
    pub video: Models<dyn VideoProvider>,
    since: Timestamp,
}

impl Catalog {
    /// A catalog of these shelves; its models count as served from now on.
    pub fn new(
        chat: Models<dyn ChatProvider>,
        image: Models<dyn ImageProvider>,
        video: Models<dyn VideoProvider>,
    ) -> Self {
        Self { chat, image, video, since: time::now() }
    }

    /// What `ModelService` lists: the panels in order, the default of each first, hidden models left out.
    pub fn models(&self, modality: pb::Modality) -> Vec<pb::Model> {
        let chat = || self.chat_models(false);
        let image = || self.image_models(false);
        let video = || self.video_models(false);
        match modality {
            pb::Modality::Chat => chat().collect(),
            pb::Modality::Image => image().collect(),
            pb::Modality::Video => video().collect(),
            pb::Modality::Unspecified => chat().chain(image()).chain(video()).collect(),
        }
    }

    /// The model of this name or alias, hidden ones included.
    pub fn model(&self, name: &str) -> Result<pb::Model, Error> {
        let mut all = self.chat_models(true).chain(self.image_models(true)).chain(self.video_models(true));
        let found = all.find(|model| model.id == name || model.aliases.iter().any(|alias| alias == name));
        found.ok_or_else(|| {
            let names = self.chat.names().chain(self.image.names()).chain(self.video.names());
            Error::ModelNotFound { model: name.to_owned(), similar: near(name, names) }
        })
    }

    fn chat_models(&self, hidden: bool) -> impl Iterator<Item = pb::Model> {
        let models = self.chat.models(pb::Modality::Chat, self.since, hidden);
        models.map(|(entry, model)| with_health(model, entry.provider.targets()))
    }

    fn image_models(&self, hidden: bool) -> impl Iterator<Item = pb::Model> {
        let models = self.image.models(pb::Modality::Image, self.since, hidden);
        models.map(|(entry, model)| with_health(model, entry.provider.targets()))
    }

    fn video_models(&self, hidden: bool) -> impl Iterator<Item = pb::Model> {
        let models = self.video.models(pb::Modality::Video, self.since, hidden);
        models.map(|(entry, model)| with_health(model, entry.provider.targets()))
    }
}

/// Returns a model with the health of its targets. It is healthy unless the breakers of all targets are open.
fn with_health(model: pb::Model, targets: Vec<pb::model::Target>) -> pb::Model {
    let is_open = |target: &pb::model::Target| target.state() == pb::model::target::State::Open;
    let healthy = targets.is_empty() || !targets.iter().all(is_open);
    pb::Model { healthy, targets, ..model }
}

/// The models of one panel. The first one is the default.
pub struct Models<P: ?Sized> {
    entries: Vec<Arc<Entry<P>>>,
}

/// One served model.
pub struct Entry<P: ?Sized> {
    /// The public name.
    pub id: String,
    /// The provider's name of it.
    pub upstream: String,
    /// The provider's name as clients see it: `offline`, or the vendor.
    pub owned_by: String,
    /// The id of the configured provider. Jobs store it, so it must stay the same across restarts.
    pub provider_id: String,
    /// Other public names of it.
    pub aliases: Vec<String>,
    /// What it can do, in the words of `Model.capabilities`.
    pub capabilities: &'static [&'static str],
    /// Served, but not listed and never suggested: the faults on request.
    pub hidden: bool,
    /// Who answers.
    pub provider: Arc<P>,
}

impl<P: ?Sized> Models<P> {
    /// A shelf of these models, the default first.
    ///
    /// # Errors
    /// The name that stands for two of them.
    pub fn new(entries: Vec<Entry<P>>) -> Result<Self, String> {
        let mut seen = std::collections::HashSet::new();
        for name in entries.iter().flat_map(Entry::names) {
            if !seen.insert(name) {
                return Err(name.to_owned());
            }
        }
        Ok(Self { entries: entries.into_iter().map(Arc::new).collect() })
    }

    /// The model of this name or alias; the default for the empty name.
    pub fn find(&self, name: &str) -> Result<Arc<Entry<P>>, Error> {
        let found = match name {
            "" => self.entries.first(),
            name => self.entries.iter().find(|entry| entry.names().any(|known| known == name)),
        };
        found.cloned().ok_or_else(|| Error::ModelNotFound { model: name.to_owned(), similar: near(name, self.names()) })
    }

    /// Returns the provider with this id, for work that outlives the call that created it.
    pub fn provider(&self, provider_id: &str) -> Option<&Arc<P>> {
        self.entries.iter().find(|entry| entry.provider_id == provider_id).map(|entry| &entry.provider)
    }

    /// All models, the default first.
    pub fn entries(&self) -> &[Arc<Entry<P>>] {
        &self.entries
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| !entry.hidden).flat_map(|entry| entry.names())
    }

    fn models(
        &self,
        modality: pb::Modality,
        since: Timestamp,
        hidden: bool,
    ) -> impl Iterator<Item = (&Entry<P>, pb::Model)> {
        let shown = self.entries.iter().enumerate().filter(move |(_, entry)| hidden || !entry.hidden);
        shown.map(move |(place, entry)| {
            let model = pb::Model {
                id: entry.id.clone(),
                modality: modality.into(),
                owned_by: entry.owned_by.clone(),
                create_time: Some(since),
                default: place == 0,
                aliases: entry.aliases.clone(),
                capabilities: entry.capabilities.iter().map(|&word| word.to_owned()).collect(),
                healthy: false,
                targets: Vec::new(),
            };
            (&**entry, model)
        })
    }
}

impl<P: ?Sized> Entry<P> {
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
        write!(f, "{} ({} at {})", self.id, self.upstream, self.owned_by)
    }
}

/// At most three names like this one, nearest first.
fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut ranked: Vec<_> = names
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|&(likeness, _)| likeness >= NEAR)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    ranked.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
}
