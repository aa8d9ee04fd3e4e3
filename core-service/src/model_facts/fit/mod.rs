//! Fits a request to a model: the model gets the requested parameters where it accepts them, otherwise the nearest ones. The
//! response lists these ([`Adjustment`]). With [`FitPolicy::Strict`], the request is refused instead.

mod source;

use serde::{Deserialize, Serialize};

pub use self::source::{SourceVideo, fit_source};
use super::{
    Audio, ModelFacts, Output, Outputs,
    output::{lines, ratio},
};
use crate::{error::Error, size::Size};

/// The duration of requests without one, in seconds.
const DEFAULT_SECONDS: u32 = 5;

/// The size of requests without size, resolution and aspect ratio.
const DEFAULT_SIZE: Size = Size::new(1920, 1080);

/// The maximum sides of a size that is derived from resolution and aspect ratio, those of 4k: the longer and the shorter one, in
/// pixels.
const MAX_SIDES: (u32, u32) = (3840, 2160);

/// The minimum side of a size that is derived from resolution and aspect ratio, in pixels.
const MIN_SIDE: u32 = 64;

/// The relative difference up to which sides or aspect ratios count as the same, because vendors round: 1080p has 1088 lines
/// with some models.
const TOLERANCE: f64 = 0.04;

/// What happens to parameters that a model does not accept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FitPolicy {
    /// The nearest value is taken.
    #[default]
    Nearest,
    /// The request is refused.
    Strict,
}

/// The parameters of a request whose values depend on what the model accepts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The size in pixels; a request with it has neither aspect ratio nor resolution.
    pub size: Option<Size>,
    /// The aspect ratio.
    pub aspect_ratio: Option<String>,
    /// The resolution.
    pub resolution: Option<String>,
    /// The duration in seconds.
    pub seconds: Option<u32>,
    /// Whether the video should have a sound track.
    pub generate_audio: Option<bool>,
    /// The seed.
    pub seed: Option<i64>,
    /// What must not be shown; may be empty.
    pub negative_prompt: String,
    /// The fields of the request with reference sounds, for example `input_references[1]`.
    pub sounds: Vec<String>,
    /// The size of the first or last frame, which is the default of the aspect ratio.
    pub frame: Option<Size>,
    /// Whether there is a first or last frame.
    pub has_frames: bool,
    /// Whether there is a last frame.
    pub has_last_frame: bool,
    /// Whether there are references.
    pub has_references: bool,
}

/// The parameters that a model gets: those of [`Wanted`], each with a value that the model accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The size in pixels.
    pub size: Size,
    /// The resolution, as the provider spells it; empty for models with sizes in pixels.
    pub resolution: String,
    /// The aspect ratio, as the provider spells it; empty for models with sizes in pixels.
    pub aspect_ratio: String,
    /// The duration in seconds.
    pub seconds: u32,
    /// Whether the video should have a sound track. `None`: the default of the model, or the model has no choice.
    pub generate_audio: Option<bool>,
    /// The seed.
    pub seed: Option<i64>,
    /// What must not be shown; may be empty.
    pub negative_prompt: String,
    /// The parameters that differ from the request.
    pub adjustments: Vec<Adjustment>,
}

/// A parameter that differs from the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The field of the request, as the gRPC API names it.
    pub field: String,
    /// The requested value, as text.
    pub requested: String,
    /// The value that the model gets, as text; empty if the field has no effect.
    pub used: String,
}

/// Fits a request to a model. `model` is its public name, for messages.
///
/// # Errors
/// [`Error::InvalidField`] for text that is neither a resolution nor an aspect ratio, and with [`FitPolicy::Strict`] for the
/// first parameter that would be adjusted.
pub fn fit(facts: &ModelFacts, model: &str, wanted: Wanted, policy: FitPolicy) -> Result<Fitted, Error> {
    let mut adjustments = Adjustments { model, policy, list: Vec::new() };
    let target = Target::new(facts, &wanted)?;
    let outputs = facts.outputs(target.with_frames);
    let Output { resolution, aspect_ratio, size } = match outputs {
        Outputs::Any => target.any_size(&wanted),
        Outputs::Listed(outputs) => target.nearest(facts, outputs),
    };
    if let Some(requested) = wanted.size.filter(|requested| !is_same_size(*requested, size)) {
        adjustments.add("size", requested.to_string(), size.to_string())?;
    }
    if let (Outputs::Listed(_), Some(requested)) = (outputs, &wanted.resolution)
        && lines(requested) != output_lines(&resolution, size)
    {
        let used = if resolution.is_empty() { size.to_string() } else { resolution.clone() };
        adjustments.add("resolution", requested.clone(), used)?;
    }
    if let (Outputs::Listed(_), Some(requested)) = (outputs, target.requested_ratio)
        && distance(requested, shape(&aspect_ratio, size)) > TOLERANCE
    {
        let used = if aspect_ratio.is_empty() { size.to_string() } else { aspect_ratio.clone() };
        adjustments.add("aspect_ratio", wanted.aspect_ratio.clone().unwrap_or_default(), used)?;
    }
    let seconds = facts.durations(&resolution, target.with_frames).nearest(target.seconds);
    if let Some(requested) = wanted.seconds.filter(|requested| *requested != seconds) {
        adjustments.add("duration_seconds", requested.to_string(), seconds.to_string())?;
    }
    let generate_audio = match (facts.audio, wanted.generate_audio) {
        (Audio::DefaultOn | Audio::DefaultOff, choice) => choice,
        (Audio::Never, Some(true)) | (Audio::Always, Some(false)) => {
            let used = facts.audio == Audio::Always;
            adjustments.add("generate_audio", (!used).to_string(), used.to_string())?;
            None
        }
        (Audio::Never | Audio::Always, _) => None,
    };
    let seed = wanted.seed.filter(|_| facts.seed);
    if let (Some(requested), None) = (wanted.seed, seed) {
        adjustments.add("seed", requested.to_string(), String::new())?;
    }
    let mut negative_prompt = wanted.negative_prompt;
    if !negative_prompt.is_empty() && !facts.negative_prompt {
        adjustments.add("negative_prompt", std::mem::take(&mut negative_prompt), String::new())?;
    }
    for field in wanted.sounds.iter().filter(|_| facts.inputs.sounds_unused) {
        adjustments.add(field, "sound".to_owned(), String::new())?;
    }
    let adjustments = adjustments.list;
    Ok(Fitted { size, resolution, aspect_ratio, seconds, generate_audio, seed, negative_prompt, adjustments })
}

/// The adjustments so far; with [`FitPolicy::Strict`] the first one is an error.
struct Adjustments<'a> {
    model: &'a str,
    policy: FitPolicy,
    list: Vec<Adjustment>,
}

impl Adjustments<'_> {
    fn add(&mut self, field: &str, requested: String, used: String) -> Result<(), Error> {
        match self.policy {
            FitPolicy::Nearest => {
                self.list.push(Adjustment { field: field.to_owned(), requested, used });
                Ok(())
            }
            FitPolicy::Strict if used.is_empty() => {
                Err(Error::invalid(field, format!("the model `{}` has no such parameter; leave it out", self.model)))
            }
            FitPolicy::Strict => {
                let message =
                    format!("the model `{}` cannot do \"{requested}\"; the nearest is \"{used}\"", self.model);
                Err(Error::invalid(field, message))
            }
        }
    }
}

/// What the output should be close to.
struct Target {
    /// Width divided by height: requested, of the frame, or the default.
    ratio: f64,
    /// The aspect ratio of the request, if it has one.
    requested_ratio: Option<f64>,
    extent: Extent,
    /// The duration: requested, or the default.
    seconds: u32,
    /// Whether the request names the duration: it then matters more than the size, because it decides the price.
    is_duration_requested: bool,
    with_frames: bool,
    with_last_frame: bool,
    with_references: bool,
    with_audio: bool,
}

/// How large the output should be, whatever its ratio.
enum Extent {
    /// The number of pixels: width times height.
    Pixels(f64),
    /// The number of lines: the shorter side.
    Lines(u32),
}

impl Target {
    fn new(facts: &ModelFacts, wanted: &Wanted) -> Result<Self, Error> {
        // Providers' words for "the aspect ratio of the input" count as no ratio.
        let named = wanted.aspect_ratio.as_deref().filter(|name| !matches!(*name, "adaptive" | "auto" | ""));
        let parse = |text: &str| {
            let message = format!("aspect_ratio \"{text}\": expected WIDTH:HEIGHT, for example \"16:9\"");
            ratio(text).ok_or_else(|| Error::invalid("aspect_ratio", message))
        };
        let requested_ratio = named.map(parse).transpose()?;
        let of_input = wanted.size.or(wanted.frame).map(|size| shape("", size));
        let ratio = requested_ratio.or(of_input).unwrap_or_else(|| shape("", DEFAULT_SIZE));
        let default = facts.default_resolution.as_deref();
        let extent = match (wanted.size, wanted.resolution.as_deref(), default.and_then(lines)) {
            (Some(size), _, _) => Extent::Pixels(area(size)),
            (None, Some(text), _) => {
                let message = format!("resolution \"{text}\": expected for example \"720p\", \"1080p\" or \"4k\"");
                Extent::Lines(lines(text).ok_or_else(|| Error::invalid("resolution", message))?)
            }
            (None, None, Some(lines)) => Extent::Lines(lines),
            (None, None, None) => Extent::Pixels(area(DEFAULT_SIZE)),
        };
        Ok(Self {
            ratio,
            requested_ratio,
            extent,
            seconds: wanted.seconds.unwrap_or(DEFAULT_SECONDS),
            is_duration_requested: wanted.seconds.is_some(),
            with_frames: wanted.has_frames,
            with_last_frame: wanted.has_last_frame,
            with_references: wanted.has_references,
            with_audio: wanted.generate_audio == Some(true),
        })
    }

    /// Returns the output of a model that accepts every size.
    fn any_size(&self, wanted: &Wanted) -> Output {
        // Without size, resolution and ratio in the request, the default size applies: the ratio of a frame does not count.
        let size = wanted.size.unwrap_or_else(|| match self.extent {
            Extent::Pixels(_) if self.requested_ratio.is_none() => DEFAULT_SIZE,
            Extent::Pixels(_) => size_with(self.ratio, DEFAULT_SIZE.height),
            Extent::Lines(lines) => size_with(self.ratio, lines),
        });
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Output { resolution: text(&wanted.resolution), aspect_ratio: text(&wanted.aspect_ratio), size }
    }

    /// Returns the nearest of the listed outputs, among those that are possible with the inputs and the sound track: by
    /// duration, if it was requested, then by ratio, extent, and the default duration.
    fn nearest(&self, facts: &ModelFacts, outputs: &[Output]) -> Output {
        let cost = |output: &&Output| {
            let durations = facts.durations(&output.resolution, self.with_frames);
            let seconds = f64::from(durations.nearest(self.seconds).abs_diff(self.seconds));
            let requested = if self.is_duration_requested { seconds } else { 0.0 };
            let ratio = distance(self.ratio, shape(&output.aspect_ratio, output.size));
            let extent = match self.extent {
                Extent::Pixels(pixels) => distance(pixels, area(output.size)),
                Extent::Lines(lines) => {
                    let own = output_lines(&output.resolution, output.size).unwrap_or(lines);
                    distance(f64::from(lines), f64::from(own))
                }
            };
            // Compared in this order: a later distance counts only between outputs that are equal in the earlier ones.
            [requested, ratio, extent, seconds]
        };
        let compare = |a: &[f64; 4], b: &[f64; 4]| {
            let differing = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
            differing.unwrap_or(std::cmp::Ordering::Equal)
        };
        let is_among = |list: &[String], output: &Output| list.is_empty() || list.contains(&output.resolution);
        let allowed = |output: &&Output| {
            (!self.with_last_frame || is_among(&facts.resolutions_with_last_frame, output))
                && (!self.with_references || is_among(&facts.resolutions_with_references, output))
                && (!self.with_audio || is_among(&facts.resolutions_with_audio, output))
        };
        let nearest = outputs.iter().filter(allowed).min_by(|a, b| compare(&cost(a), &cost(b)));
        // No output is possible only if settings contradict each other, such as a maximum resolution below all sizes.
        nearest.or(outputs.first()).cloned().unwrap_or_else(|| Output {
            resolution: String::new(),
            aspect_ratio: String::new(),
            size: DEFAULT_SIZE,
        })
    }
}

/// Returns the size with this shape and number of lines of the shorter side, even and within the maximum.
fn size_with(ratio: f64, lines: u32) -> Size {
    let (max_long, max_short) = MAX_SIDES;
    let min = f64::from(MIN_SIDE);
    let long_ratio = ratio.max(1.0 / ratio).min(f64::from(max_long) / min);
    let lines = f64::from(lines.clamp(MIN_SIDE, max_short)).min(f64::from(max_long) / long_ratio).max(min);
    let even = |side: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 64 to 3840")]
        let half = (side / 2.0).round() as u32;
        half * 2
    };
    let (short, long) = (even(lines), even(lines * long_ratio));
    if ratio >= 1.0 { Size::new(long, short) } else { Size::new(short, long) }
}

/// Returns the number of lines of an output: that of the resolution's name, otherwise the shorter side.
fn output_lines(resolution: &str, size: Size) -> Option<u32> {
    lines(resolution).or(Some(size.width.min(size.height)))
}

/// Returns width divided by height: that of the named aspect ratio, otherwise that of the size.
fn shape(aspect_ratio: &str, size: Size) -> f64 {
    ratio(aspect_ratio).unwrap_or_else(|| f64::from(size.width) / f64::from(size.height))
}

fn area(size: Size) -> f64 {
    f64::from(size.width) * f64::from(size.height)
}

/// Returns whether two sizes are the same, up to [`TOLERANCE`].
fn is_same_size(a: Size, b: Size) -> bool {
    let close = |a: u32, b: u32| distance(f64::from(a), f64::from(b)) <= TOLERANCE;
    close(a.width, b.width) && close(a.height, b.height)
}

/// Returns the distance of two quantities on a logarithmic scale, so that half and double are equally far.
fn distance(a: f64, b: f64) -> f64 {
    (a / b).ln().abs()
}

#[cfg(test)]
mod tests;
