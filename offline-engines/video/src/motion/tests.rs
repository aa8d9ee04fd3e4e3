//! Prompts in English and Chinese, and the camera moves that they name.

use super::types::Direction::{Down, In, Left, Out, Right, Up};
use super::{Motion, Pace};

/// Parses a prompt with the seed 0, for which an orbit without a direction starts to the right.
fn parse(prompt: &str) -> Motion {
    Motion::from_prompt(prompt, 0)
}

/// No move, and no request for a still camera, which would set [`Motion::still`].
const REST: Motion = Motion {
    pan: None,
    tilt: None,
    zoom: None,
    dolly: false,
    orbit: None,
    handheld: false,
    still: false,
    pace: Pace::Normal,
};

#[test]
fn english_words_name_moves() {
    let cases = [
        ("pan left over the bay", Motion { pan: Some(Left), ..REST }),
        ("Camera pans to the RIGHT.", Motion { pan: Some(Right), ..REST }),
        ("panning shot", Motion { pan: Some(Right), ..REST }),
        ("a leftward pan", Motion { pan: Some(Left), ..REST }),
        ("pan slowly from right to left", Motion { pan: Some(Left), pace: Pace::Slow, ..REST }),
        ("pan up", Motion { tilt: Some(Up), ..REST }),
        ("tilt down", Motion { tilt: Some(Down), ..REST }),
        ("zoom", Motion { zoom: Some(In), ..REST }),
        ("zooming out", Motion { zoom: Some(Out), ..REST }),
        ("dolly in", Motion { zoom: Some(In), dolly: true, ..REST }),
        ("dolly back from the door", Motion { zoom: Some(Out), dolly: true, ..REST }),
        ("the camera pushes in", Motion { zoom: Some(In), dolly: true, ..REST }),
        ("pull away", Motion { zoom: Some(Out), dolly: true, ..REST }),
        ("crane up", Motion { tilt: Some(Up), ..REST }),
        ("orbit around the statue", Motion { orbit: Some(Right), ..REST }),
        ("circling left", Motion { orbit: Some(Left), ..REST }),
        ("an arc shot", Motion { orbit: Some(Right), ..REST }),
        ("shaky hand-held camera", Motion { handheld: true, ..REST }),
        ("a static shot", Motion { still: true, ..REST }),
        ("no camera movement", Motion { still: true, ..REST }),
    ];
    for (prompt, expected) in cases {
        assert_eq!(parse(prompt), expected, "{prompt:?}");
    }
}

#[test]
fn direction_after_the_object_of_a_verb_belongs_to_the_verb() {
    let cases = [
        ("zoom the camera out", Motion { zoom: Some(Out), ..REST }),
        ("Zooming your camera slowly out", Motion { zoom: Some(Out), pace: Pace::Slow, ..REST }),
        ("zoom camera in", Motion { zoom: Some(In), ..REST }),
        ("zoom the camera", Motion { zoom: Some(In), ..REST }),
        ("pan the camera left", Motion { pan: Some(Left), ..REST }),
        ("tilt the camera down", Motion { tilt: Some(Down), ..REST }),
        ("dolly the camera back", Motion { zoom: Some(Out), dolly: true, ..REST }),
        ("push the camera in", Motion { zoom: Some(In), dolly: true, ..REST }),
        ("orbit the camera left", Motion { orbit: Some(Left), ..REST }),
        ("don't zoom the camera out, pan left", Motion { pan: Some(Left), ..REST }),
        ("don't move the camera", Motion { still: true, ..REST }),
        // A camera that is no object is a verb itself.
        ("pan left, camera up", Motion { pan: Some(Left), tilt: Some(Up), ..REST }),
        ("handheld camera up", Motion { tilt: Some(Up), handheld: true, ..REST }),
    ];
    for (prompt, expected) in cases {
        assert_eq!(parse(prompt), expected, "{prompt:?}");
    }
}

#[test]
fn moves_combine_with_each_other_and_with_a_pace() {
    assert_eq!(
        parse("slow pan left and zoom in"),
        Motion { pan: Some(Left), zoom: Some(In), pace: Pace::Slow, ..REST }
    );
    assert_eq!(
        parse("fast tilt up, then zoom out, handheld"),
        Motion { tilt: Some(Up), zoom: Some(Out), handheld: true, pace: Pace::Fast, ..REST }
    );
    assert_eq!(parse("still water, gentle pan right"), Motion { pan: Some(Right), pace: Pace::Slow, ..REST });
}

#[test]
fn chinese_terms_name_moves() {
    let cases = [
        ("镜头缓慢向左平移", Motion { pan: Some(Left), pace: Pace::Slow, ..REST }),
        ("向右摇镜头", Motion { pan: Some(Right), ..REST }),
        ("镜头平移", Motion { pan: Some(Right), ..REST }),
        ("镜头向上移动", Motion { tilt: Some(Up), ..REST }),
        ("画面下摇", Motion { tilt: Some(Down), ..REST }),
        ("镜头拉近人物", Motion { zoom: Some(In), ..REST }),
        ("快速推进", Motion { zoom: Some(In), dolly: true, pace: Pace::Fast, ..REST }),
        ("镜头慢慢拉远", Motion { zoom: Some(Out), dolly: true, pace: Pace::Slow, ..REST }),
        ("环绕拍摄", Motion { orbit: Some(Right), ..REST }),
        ("手持摄影", Motion { handheld: true, ..REST }),
        ("固定镜头", Motion { still: true, ..REST }),
    ];
    for (prompt, expected) in cases {
        assert_eq!(parse(prompt), expected, "{prompt:?}");
    }
}

#[test]
fn prompt_without_a_move_gets_a_slow_one_that_depends_on_the_seed() {
    let motions: std::collections::HashSet<Motion> =
        (0..40).map(|seed| Motion::from_prompt("a cat on a red sofa", seed)).collect();
    // There are 12: in or out; left or right; up, down or neither.
    assert!(motions.len() >= 6, "{motions:?}");
    assert!(motions.iter().all(|motion| motion.zoom.is_some() && motion.pan.is_some() && motion.pace == Pace::Slow));
    assert_eq!(parse("a cat"), parse("a cat"));
}

#[test]
fn negated_move_is_ignored() {
    assert_eq!(parse("pan left, no zoom"), Motion { pan: Some(Left), ..REST });
    assert_eq!(parse("static, don't zoom in"), Motion { still: true, ..REST });
}

#[test]
fn directions_without_a_move_are_ignored() {
    let without_direction = parse("a cat on a sofa");
    assert_eq!(parse("the cat on the left looks up at the stars"), without_direction);
    assert_eq!(parse("the stars move"), without_direction);
}
