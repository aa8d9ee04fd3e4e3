//! The request, in Ark's words.

use openai_dialect::extra_members;
use serde_json::{Value, json};

use super::family::Family;
use crate::{
    error::ProviderError,
    image::{Background, Encoding, ImageSpec, Quality},
    media::MediaType,
    size::Size,
};

/// Makes a series of pictures that belong together; the caller's own member.
const SERIES: &str = "sequential_image_generation";

/// How one request is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) family: Family,
    /// The size to ask for, in the family's words.
    pub(super) size: Option<String>,
    /// The encoding to ask for, where one can be.
    pub(super) format: Option<&'static str>,
    /// Whether one streamed call makes all pictures, as a series.
    pub(super) series: bool,
}

impl Plan {
    /// # Errors
    /// For what the family cannot do and nobody here can do for it.
    pub(super) fn of(family: Family, spec: &ImageSpec) -> Result<Self, ProviderError> {
        let refused = |field: &str, message: &str| {
            Err(ProviderError::Refused { message: message.to_owned(), field: Some(field.to_owned()) })
        };
        if spec.background == Background::Transparent {
            return refused("background", "this model paints no transparent background");
        }
        if family == Family::Seededit3 && spec.pictures.is_empty() {
            return Err(ProviderError::NotSupported("this model starts from a picture only".to_owned()));
        }
        if family.is_third() && spec.pictures.iter().any(|picture| picture.format == MediaType::Webp) {
            return refused("image", "this model takes PNG and JPEG pictures");
        }
        let asks = extra_members(&spec.extra_json).unwrap_or_default();
        let series = !family.is_third() && asks.iter().any(|(name, value)| name == SERIES && *value == "\"auto\"");
        // An edit without a size keeps that of its first picture, as far as the family goes.
        let first = spec.pictures.first().map(|picture| picture.size);
        let native = spec.size.or(first).and_then(|asked| family.native(finer(asked, spec.quality)));
        let exact = spec.size.is_none() || native == spec.size;
        let jpeg = exact && matches!(spec.format, Encoding::Jpeg { .. });
        // What is converted here is asked for without loss.
        let format = family.encodes().then_some(if jpeg { "jpeg" } else { "png" });
        let size =
            if family == Family::Seededit3 { Some("adaptive".to_owned()) } else { native.map(|s| s.to_string()) };
        Ok(Self { family, size, format, series })
    }
}

/// What is made finer is made larger, and shrunk here.
fn finer(asked: Size, quality: Quality) -> Size {
    if quality.is_high() { Size::new(asked.width * 2, asked.height * 2) } else { asked }
}

/// The body of the call for the picture of this index, or for all of a series.
pub(super) fn write(model: &str, spec: &ImageSpec, plan: &Plan, index: u32, watermark: bool) -> Vec<u8> {
    let Plan { family, size, format, series } = plan;
    let mut members = Members::default();
    members.add("model", &model.into());
    members.add("prompt", &prompt(spec, *series).into());
    let mut pictures: Vec<_> = spec.pictures.iter().map(|picture| Value::from(picture.data_url())).collect();
    match (pictures.pop(), pictures.is_empty()) {
        (None, _) => {}
        (Some(only), true) => members.add("image", &only),
        (Some(last), false) => {
            pictures.push(last);
            members.add("image", &pictures.into());
        }
    }
    if let Some(size) = size {
        members.add("size", &size.as_str().into());
    }
    if let Some(format) = format {
        members.add("output_format", &(*format).into());
    }
    if let (true, Some(seed)) = (family.is_third(), spec.seed) {
        // Its seeds have 31 bits.
        members.add("seed", &(seed.wrapping_add(index.into()) & i64::from(i32::MAX)).into());
    }
    members.add("watermark", &watermark.into());
    if *series {
        members.add(SERIES, &"auto".into());
        members.add("sequential_image_generation_options", &json!({"max_images": spec.n}));
        members.add("stream", &true.into());
        // The largest would not fit into an event.
        members.add("response_format", &"url".into());
    } else {
        if !family.is_third() {
            members.add(SERIES, &"disabled".into());
        }
        members.add("response_format", &"b64_json".into());
    }
    for (name, value) in extra_members(&spec.extra_json).unwrap_or_default() {
        if name != "stream" && name != "n" {
            members.add_raw(&name, value);
        }
    }
    if (*family, spec.quality) == (Family::Seedream4, Quality::Low) {
        members.add("optimize_prompt_options", &json!({"mode": "fast"}));
    }
    members.json()
}

/// There is no member for the style, nor for how many pictures a series has: both are read from the words.
fn prompt(spec: &ImageSpec, series: bool) -> String {
    let style = spec.style.map(|style| format!("\n\nStyle: {}", style.as_str()));
    let number = (series && spec.n > 1).then(|| format!("\n\nA series of {} pictures", spec.n));
    [spec.prompt.as_str(), &style.unwrap_or_default(), &number.unwrap_or_default()].concat()
}

/// Members in their order; the first of a name holds, as some servers would read the one and some the other.
#[derive(Default)]
struct Members(Vec<(String, String)>);

impl Members {
    fn add(&mut self, name: &str, value: &Value) {
        self.add_raw(name, &value.to_string());
    }

    fn add_raw(&mut self, name: &str, value: &str) {
        if !self.0.iter().any(|(known, _)| known == name) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    fn json(&self) -> Vec<u8> {
        let members = self.0.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
        format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes()
    }
}
