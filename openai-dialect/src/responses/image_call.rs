//! A call of the hosted image generation tool. It is executed by the caller of this crate, the core, and not by the API client.

/// The name of the function that the upstream sees in place of the hosted tool.
pub(super) const TOOL_NAME: &str = "image_generation";

/// One image that the model asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageCall {
    /// The id of the `image_generation_call` item.
    pub item_id: String,
    /// The id of the tool call in the conversation with the upstream.
    pub call_id: String,
    /// The prompt of the model.
    pub prompt: String,
    /// The image model that the tool's settings name, if any.
    pub model: Option<String>,
    /// `WIDTHxHEIGHT` or `auto`.
    pub size: Option<String>,
    /// `low`, `medium`, `high` or `auto`.
    pub quality: Option<String>,
    /// `transparent`, `opaque` or `auto`.
    pub background: Option<String>,
    /// `png`, `webp` or `jpeg`.
    pub output_format: Option<String>,
    /// The quality of webp and jpeg, 0 to 100.
    pub output_compression: Option<u32>,
    /// `auto` or `low`.
    pub moderation: Option<String>,
    /// `high` or `low`.
    pub input_fidelity: Option<String>,
    /// The number of previews to stream, 0 to 3.
    pub partial_images: u32,
    /// Whether the model wants to change an image of the conversation instead of generating a new one.
    pub edit: bool,
    /// The image to edit, a `data:` URL, if this response has generated one before. Otherwise an edit applies to the images
    /// of the conversation, see [`ResponseRequest::conversation_images`](super::ResponseRequest::conversation_images).
    pub input_images: Vec<String>,
    /// The mask of an edit, an `https:` or `data:` URL.
    pub mask: Option<String>,
}

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GeneratedImage {
    /// The file, in base64.
    pub base64: String,
    /// The prompt that the image model used, if it changed it.
    pub revised_prompt: Option<String>,
    /// The size, `WIDTHxHEIGHT`.
    pub size: Option<String>,
    /// The quality, where it is known.
    pub quality: Option<String>,
    /// The background, where it is known.
    pub background: Option<String>,
    /// `png`, `webp` or `jpeg`.
    pub output_format: Option<String>,
}
