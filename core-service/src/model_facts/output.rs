//! The sizes of the videos that a model returns, and their notation in the tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::size::Size;

/// The sizes of the videos that a model returns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Outputs {
    /// Any size that is requested.
    #[default]
    Any,
    /// These sizes only.
    Listed(Vec<Output>),
}

/// One size, and its name in terms of resolution and aspect ratio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The resolution, as the provider spells it: `720p`. Empty for sizes that are chosen in pixels.
    pub resolution: String,
    /// The aspect ratio, as the provider spells it: `16:9`. Empty for sizes that are chosen in pixels.
    pub aspect_ratio: String,
    /// The size in pixels, which the provider may miss by a few.
    pub size: Size,
}

impl Outputs {
    /// Returns the sizes without those above a resolution. Those whose resolution has no known number of lines remain.
    #[must_use]
    pub fn up_to(self, max: &str) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::Listed(mut outputs) => {
                let max = lines(max);
                outputs.retain(|output| lines(&output.resolution) <= max);
                Self::Listed(outputs)
            }
        }
    }
}

/// Returns the number of lines, the pixels of the shorter side, that the name of a resolution means: 720 for `720p`, 2160 for
/// `4k`. Approximate: vendors round sizes.
pub(super) fn lines(resolution: &str) -> Option<u32> {
    let name = resolution.trim().to_ascii_lowercase();
    match name.as_str() {
        "2k" => return Some(1440),
        "4k" | "uhd" => return Some(2160),
        "sd" => return Some(480),
        "hd" => return Some(720),
        "fhd" | "1k" => return Some(1080),
        _ => {}
    }
    name.strip_suffix('p').unwrap_or(&name).parse().ok()
}

/// Parses an aspect ratio such as `16:9` to width divided by height.
pub(super) fn ratio(text: &str) -> Option<f64> {
    let (width, height) = text.trim().split_once([':', '/', 'x'])?;
    let side = |text: &str| text.trim().parse::<f64>().ok().filter(|side| side.is_finite() && *side > 0.0);
    Some(side(width)? / side(height)?)
}

/// The notation of the tables: `"any"`, `["1280x720"]` or `{"720p": {"16:9": "1280x720"}}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Notation {
    Word(String),
    Sizes(Vec<String>),
    Grid(BTreeMap<String, BTreeMap<String, String>>),
}

impl<'de> Deserialize<'de> for Outputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = |text: &str| text.parse::<Size>().map_err(|error| D::Error::custom(format!("{text}: {error}")));
        let outputs: Vec<_> = match Notation::deserialize(deserializer)? {
            Notation::Word(word) if word == "any" => return Ok(Self::Any),
            Notation::Word(word) => return Err(D::Error::custom(format!("`{word}`: expected `any`"))),
            Notation::Sizes(sizes) => {
                let pixels = |text: &String| {
                    let (resolution, aspect_ratio) = (String::new(), String::new());
                    Ok(Output { resolution, aspect_ratio, size: size(text)? })
                };
                sizes.iter().map(pixels).collect::<Result<_, D::Error>>()?
            }
            Notation::Grid(rows) => {
                let mut outputs = Vec::new();
                for (resolution, columns) in &rows {
                    for (aspect_ratio, text) in columns {
                        if lines(resolution).is_none() || ratio(aspect_ratio).is_none() {
                            let message = format!("`{resolution}` `{aspect_ratio}`: expected such as `720p`, `16:9`");
                            return Err(D::Error::custom(message));
                        }
                        let (resolution, aspect_ratio) = (resolution.clone(), aspect_ratio.clone());
                        outputs.push(Output { resolution, aspect_ratio, size: size(text)? });
                    }
                }
                outputs
            }
        };
        if outputs.is_empty() {
            return Err(D::Error::custom("at least one size is required"));
        }
        Ok(Self::Listed(outputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_and_ratios_are_parsed_in_the_spellings_of_providers() {
        for (text, expected) in [("720p", 720), ("768P", 768), ("4k", 2160), ("2K", 1440), ("1080", 1080)] {
            assert_eq!(lines(text), Some(expected), "{text}");
        }
        assert_eq!(lines("std"), None);
        assert_eq!((ratio("16:9"), ratio("1280/720")), (Some(16.0 / 9.0), Some(16.0 / 9.0)));
        assert_eq!((ratio("adaptive"), ratio("16:0"), ratio("-1:1")), (None, None, None));
    }

    #[test]
    fn outputs_above_a_resolution_are_left_out() {
        let grid = r#"{"480p": {"1:1": "640x640"}, "1080p": {"1:1": "1440x1440"}, "4k": {"1:1": "2880x2880"}}"#;
        let outputs: Outputs = serde_json::from_str(grid).unwrap();
        let Outputs::Listed(kept) = outputs.up_to("1080p") else { panic!() };
        let mut kept: Vec<_> = kept.into_iter().map(|output| output.resolution).collect();
        kept.sort();
        assert_eq!(kept, ["1080p", "480p"]);
    }

    #[test]
    fn invalid_notations_are_refused() {
        for wrong in [r#""all""#, "[]", "{}", r#"["1280"]"#, r#"{"best": {"1:1": "64x64"}}"#, "7"] {
            assert!(serde_json::from_str::<Outputs>(wrong).is_err(), "{wrong}");
        }
    }
}
