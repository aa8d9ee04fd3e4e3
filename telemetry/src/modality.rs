//! The modality of a model.

/// The modality of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modality {
    /// Chat.
    Chat,
    /// Images.
    Image,
    /// Videos.
    Video,
}

impl Modality {
    /// Returns the name, as in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Image => "image",
            Self::Video => "video",
        }
    }
}
