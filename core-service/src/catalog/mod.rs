//! The model catalog: the served models of all modalities.

pub mod grpc;

use triptych_proto::{
    time::{self, Timestamp},
    v1 as pb,
};

use crate::{
    chat::ChatProvider,
    error::Error,
    image::ImageProvider,
    live::Live,
    models::{Entry, Included, Models},
    served_models::ServedModels,
    video::VideoModel,
};

/// All served models. Clones share them: [`replace`](Self::replace) takes effect in every clone and every service.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The chat models.
    pub chat: Live<Models<dyn ChatProvider>>,
    /// The image models.
    pub image: Live<Models<dyn ImageProvider>>,
    /// The video models.
    pub video: Live<Models<VideoModel>>,
    create_time: Timestamp,
}

impl Catalog {
    /// Creates a catalog. The current time is the creation time of all its models.
    pub fn new(chat: Models<dyn ChatProvider>, image: Models<dyn ImageProvider>, video: Models<VideoModel>) -> Self {
        let (chat, image, video) = link_names(chat, image, video);
        Self { chat: Live::new(chat), image: Live::new(image), video: Live::new(video), create_time: time::now() }
    }

    /// Replaces the models. Calls in flight keep those that they have found.
    pub fn replace(&self, chat: Models<dyn ChatProvider>, image: Models<dyn ImageProvider>, video: Models<VideoModel>) {
        let (chat, image, video) = link_names(chat, image, video);
        self.chat.store(chat);
        self.image.store(image);
        self.video.store(video);
    }

    /// Returns the listed models of a modality, or of all: chat, image, video, each with its default first.
    pub fn models(&self, modality: pb::Modality) -> Vec<pb::Model> {
        self.describe(modality, Included::Listed)
    }

    /// Returns the model with this name or alias, also if it is hidden. The error for an unknown name names those of the other
    /// models that the caller may call, according to `may_call`.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`].
    pub fn model(&self, name: &str, may_call: impl Fn(&str) -> bool) -> Result<pb::Model, Error> {
        let mut all = self.describe(pb::Modality::Unspecified, Included::All).into_iter();
        let found = all.find(|model| model.id == name || model.aliases.iter().any(|alias| alias == name));
        let passed_through = || self.chat.load().passed_through(name).map(|entry| self.passed_through(&entry));
        found.or_else(passed_through).ok_or_else(|| {
            let (chat, image, video) = (self.chat.load(), self.image.load(), self.video.load());
            let images = image.served(&may_call).map(boxed);
            let served = chat.served(&may_call).map(boxed).chain(images).chain(video.served(&may_call).map(boxed));
            Error::ModelNotFound {
                model: name.to_owned(),
                // No setting is named: which one adds a model depends on its modality.
                served: Box::new(ServedModels::nearest(name, served, "")),
                modality: pb::Modality::Unspecified,
            }
        })
    }

    /// Describes a chat model that is passed through: its upstream has it, and the settings have a pattern such as `*` that matches its
    /// name. The targets are those of its pattern, which is listed too: they are not repeated, so that metrics have one series for the
    /// pattern and not one for each model.
    fn passed_through(&self, entry: &Entry<dyn ChatProvider>) -> pb::Model {
        let model = with_health(entry.describe(pb::Modality::Chat, self.create_time), entry.provider.targets());
        pb::Model { targets: Vec::new(), ..model }
    }

    /// Returns the models of a modality, or of all, with their health.
    fn describe(&self, modality: pb::Modality, included: Included) -> Vec<pb::Model> {
        let mut described = Vec::new();
        let is_requested = |one| modality == one || modality == pb::Modality::Unspecified;
        if is_requested(pb::Modality::Chat) {
            let models = self.chat.load();
            let configured = models.describe(pb::Modality::Chat, self.create_time, included);
            described.extend(configured.map(|(entry, model)| with_health(model, entry.provider.targets())));
            described.extend(models.discovered().map(|entry| self.passed_through(&entry)));
        }
        if is_requested(pb::Modality::Image) {
            let models = self.image.load();
            let models = models.describe(pb::Modality::Image, self.create_time, included);
            described.extend(models.map(|(entry, model)| with_health(model, entry.provider.targets())));
        }
        if is_requested(pb::Modality::Video) {
            let models = self.video.load();
            let models = models.describe(pb::Modality::Video, self.create_time, included);
            described.extend(models.map(|(entry, model)| {
                let VideoModel { provider, facts, .. } = &*entry.provider;
                with_health(pb::Model { video: Some(facts.into()), ..model }, provider.targets())
            }));
        }
        described
    }
}

/// Gives the names of models of different modalities one type.
fn boxed<'a>(
    (id, names): (&'a str, impl Iterator<Item = &'a str> + 'a),
) -> (&'a str, Box<dyn Iterator<Item = &'a str> + 'a>) {
    (id, Box::new(names))
}

type AllModels = (Models<dyn ChatProvider>, Models<dyn ImageProvider>, Models<VideoModel>);

/// Adds to the models of each modality the names of the others', so that a call with a model of another modality gets an error
/// that says where the model is served.
fn link_names(
    chat: Models<dyn ChatProvider>,
    image: Models<dyn ImageProvider>,
    video: Models<VideoModel>,
) -> AllModels {
    use pb::Modality::{Chat, Image, Video};
    let chat = chat.with_others(Image, &image).with_others(Video, &video);
    let image = image.with_others(Chat, &chat).with_others(Video, &video);
    let video = video.with_others(Chat, &chat).with_others(Image, &image);
    (chat, image, video)
}

/// Returns a model with the health of its targets. It is healthy unless the breakers of all targets are open.
fn with_health(model: pb::Model, targets: Vec<pb::model::Target>) -> pb::Model {
    let is_open = |target: &pb::model::Target| target.state() == pb::model::target::State::Open;
    let healthy = targets.is_empty() || !targets.iter().all(is_open);
    pb::Model { healthy, targets, ..model }
}
