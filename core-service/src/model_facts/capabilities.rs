//! The facts of a model as the protobuf message `VideoCapabilities`, which clients read in the catalog.

use triptych_proto::v1::{self as pb, video_capabilities as capabilities};

use super::{Audio, InputFacts, ModelFacts, Output, Outputs, output::lines};

impl From<&ModelFacts> for pb::VideoCapabilities {
    fn from(facts: &ModelFacts) -> Self {
        let ModelFacts {
            api: _,
            upstream_names: _,
            members: _,
            outputs,
            outputs_with_frames,
            default_resolution: _,
            resolutions_with_last_frame: _,
            resolutions_with_references: _,
            resolutions_with_audio: _,
            aspect_ratio_with_frames: _,
            seconds,
            seconds_of_resolution,
            seconds_with_frames: _,
            frames_per_second,
            inputs,
            audio,
            seed,
            negative_prompt,
            generate: _,
            edit,
            extend,
            remix: _,
            deprecated,
        } = facts;
        let InputFacts { required, first_frame, last_frame, images, videos, sounds, .. } = *inputs;
        let listed = |outputs: &Outputs| match outputs {
            Outputs::Any => Vec::new(),
            Outputs::Listed(outputs) => outputs.clone(),
        };
        let outputs: Vec<_> =
            [Some(outputs), outputs_with_frames.as_ref()].into_iter().flatten().flat_map(listed).collect();
        let outputs = outputs.as_slice();
        let mut durations: Vec<_> =
            seconds_of_resolution.values().chain([seconds]).flat_map(super::Durations::to_vec).collect();
        durations.sort_unstable();
        durations.dedup();
        let mut resolutions = distinct(outputs, |output| output.resolution.clone());
        resolutions.sort_by_key(|resolution| lines(resolution));
        Self {
            sizes: distinct(outputs, |output| output.size.to_string()),
            resolutions,
            aspect_ratios: distinct(outputs, |output| output.aspect_ratio.clone()),
            durations,
            frames_per_second: *frames_per_second,
            input_required: required,
            first_frame,
            last_frame,
            max_reference_images: images,
            max_reference_videos: videos,
            max_reference_sounds: sounds,
            audio: match audio {
                Audio::Never => capabilities::Audio::Never,
                Audio::DefaultOn => capabilities::Audio::DefaultOn,
                Audio::DefaultOff => capabilities::Audio::DefaultOff,
                Audio::Always => capabilities::Audio::Always,
            }
            .into(),
            seed: *seed,
            negative_prompt: *negative_prompt,
            edit: edit.is_possible(),
            extend: extend.is_possible(),
            deprecation_date: deprecated.clone().unwrap_or_default(),
            edit_file: edit.file,
            extend_file: extend.file,
            extend_durations: if extend.is_possible() { extend.seconds.to_vec() } else { Vec::new() },
        }
    }
}

/// Returns a text of each output, without duplicates and empty ones, in the order of the outputs.
fn distinct(outputs: &[Output], text: impl Fn(&Output) -> String) -> Vec<String> {
    let mut found = Vec::new();
    for text in outputs.iter().map(text) {
        if !text.is_empty() && !found.contains(&text) {
            found.push(text);
        }
    }
    found
}
