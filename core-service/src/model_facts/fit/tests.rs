//! The nearest values of models, and the refusals of the strict policy.

use super::*;
use crate::model_facts::{Durations, FactsTable};

fn fitted(provider: &str, model: &str, wanted: Wanted) -> Fitted {
    fit(&FactsTable::default().find(provider, model), model, wanted, FitPolicy::Nearest).unwrap()
}

fn of_size(size: &str) -> Wanted {
    Wanted { size: Some(size.parse().unwrap()), ..Wanted::default() }
}

#[test]
fn nearest_resolution_and_ratio_of_the_model_are_chosen_for_a_size() {
    // `ep-...` is the name of an endpoint, which does not contain that of its model.
    for (model, size, expected) in [
        ("doubao-seedance-1-5-pro-251215", "1920x1080", "1080p 16:9"),
        ("doubao-seedance-1-0-lite-i2v-250428", "1920x1080", "720p 16:9"),
        ("doubao-seedance-1-0-pro-250528", "3840x2160", "1080p 16:9"),
        ("doubao-seedance-2-0-260128", "3840x2160", "4k 16:9"),
        ("doubao-seedance-2-0-fast-260128", "3840x2160", "720p 16:9"),
        ("dreamina-seedance-2.0-260128", "720x1280", "720p 9:16"),
        ("doubao-seedance-2-5-260628", "854x480", "480p 16:9"),
        ("ep-20261127", "1024x1024", "720p 1:1"),
        ("ep-20261127", "768x1024", "720p 3:4"),
        ("ep-20261127", "3840x1644", "720p 21:9"),
        ("ep-20261127", "64x64", "480p 1:1"),
    ] {
        let Fitted { resolution, aspect_ratio, .. } = fitted("seedance", model, of_size(size));
        assert_eq!(format!("{resolution} {aspect_ratio}"), expected, "{model} {size}");
    }
    let Fitted { size, adjustments, .. } = fitted("openai", "sora-2", of_size("1920x1080"));
    assert_eq!(size, Size::new(1280, 720));
    let adjusted =
        Adjustment { field: "size".to_owned(), requested: "1920x1080".to_owned(), used: "1280x720".to_owned() };
    assert_eq!(adjustments, [adjusted]);
}

#[test]
fn sizes_that_differ_by_a_few_lines_are_no_adjustment() {
    for (model, size) in [("doubao-seedance-1-5-pro", "1920x1080"), ("doubao-seedance-2-0", "854x480")] {
        assert_eq!(fitted("seedance", model, of_size(size)).adjustments, [], "{model} {size}");
    }
}

#[test]
fn resolution_and_ratio_of_the_request_or_frame_become_those_of_the_model() {
    let wanted = |resolution: &str, ratio: &str| Wanted {
        resolution: Some(resolution.to_owned()),
        aspect_ratio: Some(ratio.to_owned()),
        ..Wanted::default()
    };
    let model = "doubao-seedance-2-0-260128";
    let found = fitted("seedance", model, wanted("720P", "9:16"));
    assert_eq!((found.resolution.as_str(), found.aspect_ratio.as_str()), ("720p", "9:16"));
    assert_eq!((found.size, found.adjustments.len()), (Size::new(720, 1280), 0));
    let found = fitted("seedance", model, wanted("2k", "2:3"));
    let fields: Vec<_> = found.adjustments.iter().map(|one| (one.field.as_str(), one.used.as_str())).collect();
    assert_eq!(fields, [("resolution", "1080p"), ("aspect_ratio", "3:4")]);
    // Without a ratio in the request, that of the first frame applies.
    let framed = Wanted { frame: Some(Size::new(700, 720)), ..Wanted::default() };
    assert_eq!(fitted("seedance", model, framed).aspect_ratio, "1:1");
    // A model that accepts every size gets the default size, even with a frame.
    let framed = Wanted { frame: Some(Size::new(700, 720)), ..Wanted::default() };
    assert_eq!(fitted("offline", "x", framed).size, DEFAULT_SIZE);
    let any = fitted("offline", "x", wanted("720p", "9:16"));
    assert_eq!((any.size, any.adjustments.len()), (Size::new(720, 1280), 0));
}

#[test]
fn sizes_with_frames_can_differ_from_those_without() {
    let size = |has_frames: bool| {
        let frame = has_frames.then_some(Size::new(512, 512));
        let ratio = Some("1:1".to_owned());
        fitted("runway", "gen4.5", Wanted { frame, has_frames, aspect_ratio: ratio, ..Wanted::default() }).size
    };
    assert_eq!((size(true), size(false)), (Size::new(960, 960), Size::new(1280, 720)));
    // With frames, this model has named resolutions; without, sizes in pixels.
    let facts = FactsTable::default().find("runway", "happyhorse_1_0");
    let are_named = |has_frames: bool| match facts.outputs(has_frames) {
        Outputs::Listed(outputs) => outputs.iter().all(|output| !output.resolution.is_empty()),
        Outputs::Any => false,
    };
    assert!(are_named(true) && !are_named(false));
}

#[test]
fn requested_duration_matters_more_than_the_resolution() {
    let outputs = r#"{"720p": {"16:9": "1280x720"}, "1080p": {"16:9": "1920x1080"}}"#;
    let facts = ModelFacts {
        outputs: serde_json::from_str(outputs).unwrap(),
        seconds: Durations::Values(vec![4, 6, 8]),
        seconds_of_resolution: [("1080p".to_owned(), Durations::Values(vec![8]))].into(),
        ..ModelFacts::unknown()
    };
    let run = |wanted| {
        let Fitted { resolution, seconds, .. } = fit(&facts, "m", wanted, FitPolicy::Nearest).unwrap();
        (resolution, seconds)
    };
    assert_eq!(run(Wanted { seconds: Some(5), ..of_size("1920x1080") }), ("720p".to_owned(), 6));
    assert_eq!(run(Wanted { seconds: Some(8), ..of_size("1920x1080") }), ("1080p".to_owned(), 8));
    assert_eq!(run(of_size("1920x1080")), ("1080p".to_owned(), 8));
}

#[test]
fn last_frame_references_and_sound_are_available_at_some_resolutions_only() {
    let outputs = r#"{"720p": {"16:9": "1280x720"}, "1080p": {"16:9": "1920x1080"}}"#;
    let facts = ModelFacts {
        outputs: serde_json::from_str(outputs).unwrap(),
        resolutions_with_last_frame: vec!["1080p".to_owned()],
        resolutions_with_references: vec!["1080p".to_owned()],
        resolutions_with_audio: vec!["1080p".to_owned()],
        ..ModelFacts::unknown()
    };
    let run = |wanted| fit(&facts, "m", wanted, FitPolicy::Nearest).unwrap().resolution;
    assert_eq!(run(of_size("1280x720")), "720p");
    assert_eq!(run(Wanted { generate_audio: Some(false), ..of_size("1280x720") }), "720p");
    assert_eq!(run(Wanted { generate_audio: Some(true), ..of_size("1280x720") }), "1080p");
    assert_eq!(run(Wanted { has_frames: true, has_last_frame: true, ..of_size("1280x720") }), "1080p");
    assert_eq!(run(Wanted { has_references: true, ..of_size("1280x720") }), "1080p");
}

#[test]
fn parameters_that_a_model_lacks_are_left_out() {
    let facts = ModelFacts { seed: false, negative_prompt: false, audio: Audio::Never, ..ModelFacts::unknown() };
    let wanted =
        Wanted { seed: Some(7), negative_prompt: "people".to_owned(), generate_audio: Some(true), ..Wanted::default() };
    let found = fit(&facts, "m", wanted, FitPolicy::Nearest).unwrap();
    assert_eq!((found.seed, found.negative_prompt.as_str(), found.generate_audio), (None, "", None));
    let fields: Vec<_> = found.adjustments.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["generate_audio", "seed", "negative_prompt"]);
}

#[test]
fn strict_policy_refuses_and_names_the_nearest_value() {
    let facts = FactsTable::default().find("openai", "sora-2");
    for (wanted, field, nearest) in [
        (of_size("1920x1080"), "size", "1280x720"),
        (Wanted { seconds: Some(5), ..Wanted::default() }, "duration_seconds", "\"4\""),
        (Wanted { seed: Some(1), ..Wanted::default() }, "seed", "leave it out"),
        (Wanted { generate_audio: Some(false), ..Wanted::default() }, "generate_audio", "\"true\""),
    ] {
        let error = fit(&facts, "sora-2", wanted, FitPolicy::Strict).unwrap_err();
        let Error::InvalidField { field: found, message } = &error else { panic!("{error:?}") };
        assert!(found == field && message.contains(nearest), "{message}");
    }
    assert!(fit(&facts, "sora-2", Wanted::default(), FitPolicy::Strict).is_ok());
}

#[test]
fn text_that_is_no_resolution_or_ratio_is_refused() {
    let wrong = |wanted| match fit(&ModelFacts::unknown(), "m", wanted, FitPolicy::Nearest) {
        Err(Error::InvalidField { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong(Wanted { resolution: Some("best".to_owned()), ..Wanted::default() }), "resolution");
    assert_eq!(wrong(Wanted { aspect_ratio: Some("wide".to_owned()), ..Wanted::default() }), "aspect_ratio");
}

#[test]
fn derived_sizes_are_even_and_within_bounds() {
    for (ratio, lines, expected) in [
        (16.0 / 9.0, 720, "1280x720"),
        (9.0 / 16.0, 480, "480x854"),
        (100.0, 2160, "3840x64"),
        (1.0, 9999, "2160x2160"),
    ] {
        assert_eq!(size_with(ratio, lines).to_string(), expected);
    }
}

#[test]
fn sounds_without_an_effect_are_adjustments_or_refused() {
    let wanted = || Wanted { sounds: vec!["input_references[1]".to_owned()], ..Wanted::default() };
    let left_out =
        Adjustment { field: "input_references[1]".to_owned(), requested: "sound".to_owned(), used: String::new() };
    assert_eq!(fitted("offline", "offline-video", wanted()).adjustments, [left_out]);
    assert_eq!(fitted("seedance", "seedance-2-0", wanted()).adjustments, []);
    let facts = FactsTable::default().find("offline", "offline-video");
    let refused = fit(&facts, "offline-video", wanted(), FitPolicy::Strict).unwrap_err();
    assert!(matches!(&refused, Error::InvalidField { field, .. } if field == "input_references[1]"), "{refused:?}");
}
