//! Paths of the camera for prompts, picture sizes and durations: bounds, smoothness and direction.

use super::*;

const PROMPTS: [&str; 12] = [
    "pan left",
    "pan right",
    "tilt up",
    "tilt down",
    "zoom in",
    "zoom out fast",
    "dolly in",
    "orbit around it, handheld, fast",
    "handheld",
    "static shot",
    "fast pan right, tilt down and zoom out, shaky, circling",
    "",
];
/// Sizes of a picture and of the frame: equal, enlarged, upright, and pictures of extreme shapes.
const SIZES: [((u32, u32), (u32, u32)); 6] = [
    ((1920, 1080), (1920, 1080)),
    ((256, 256), (1920, 1080)),
    ((1024, 1024), (1080, 1920)),
    ((6000, 400), (1280, 720)),
    ((3, 900), (64, 64)),
    ((1, 1), (1792, 1024)),
];

fn path(prompt: &str, seconds: u32) -> CameraPath {
    CameraPath::plan(&Motion::from_prompt(prompt, 3), (1600, 1200), (1280, 720), seconds)
}

/// Returns closely spaced times of the clip, as shares of it.
fn steps() -> impl Iterator<Item = f64> {
    (0..=600).map(|step| f64::from(step) / 600.0)
}

#[test]
fn crop_stays_inside_the_picture_and_keeps_the_aspect_ratio() {
    for prompt in PROMPTS {
        for (picture, frame) in SIZES {
            for seconds in [1, 5, 60] {
                let motion = Motion::from_prompt(prompt, 9);
                let path = CameraPath::plan(&motion, picture, frame, seconds);
                let arrival = CameraPath::plan_arrival(&motion, picture, frame, seconds);
                let aspect = f64::from(frame.0) / f64::from(frame.1);
                for crop in steps().flat_map(|t| [path.at(t), arrival.at(t)]) {
                    let inside = crop.left >= 0.0
                        && crop.top >= 0.0
                        && crop.left + crop.width <= f64::from(picture.0)
                        && crop.top + crop.height <= f64::from(picture.1);
                    assert!(inside && crop.width > 0.0, "{prompt:?} {picture:?} {crop:?}");
                    assert!((crop.width / crop.height / aspect - 1.0).abs() < 1e-9, "{prompt:?} {crop:?}");
                }
            }
        }
    }
}

#[test]
fn path_starts_and_ends_at_rest() {
    for prompt in PROMPTS {
        let path = path(prompt, 5);
        let moved = |from: f64, to: f64| {
            let (a, b) = (path.at(from), path.at(to));
            (a.left - b.left).abs() + (a.top - b.top).abs() + (a.width - b.width).abs()
        };
        // One frame of 150 on a picture 1600 pixels wide: less than a tenth of a pixel.
        assert!(moved(0.0, 1.0 / 149.0) < 0.1, "{prompt:?} starts abruptly");
        assert!(moved(148.0 / 149.0, 1.0) < 0.1, "{prompt:?} stops abruptly");
    }
}

#[test]
fn pan_is_monotonic_and_horizontal() {
    let (left, right) = (path("pan left", 5), path("pan right", 5));
    let lefts: Vec<f64> = steps().map(|t| left.at(t).left).collect();
    let rights: Vec<f64> = steps().map(|t| right.at(t).left).collect();
    assert!(lefts.is_sorted_by(|a, b| a >= b) && lefts[0] - lefts[600] > 100.0);
    assert!(rights.is_sorted() && rights[600] - rights[0] > 100.0);
    assert!(steps().all(|t| (right.at(t).top - right.at(0.0).top).abs() < 1e-9));
}

#[test]
fn tilt_moves_vertically() {
    assert!(path("tilt up", 5).at(1.0).top < path("tilt up", 5).at(0.0).top - 50.0);
    assert!(path("tilt down", 5).at(1.0).top > path("tilt down", 5).at(0.0).top + 50.0);
}

#[test]
fn zoom_narrows_around_the_centre_and_dolly_narrows_more() {
    let zoom = path("zoom in", 5);
    assert!(steps().map(|t| zoom.at(t).width).is_sorted_by(|a, b| a >= b));
    let middle = |crop: Crop| crop.left + crop.width / 2.0;
    assert!(steps().all(|t| (middle(zoom.at(t)) - 800.0).abs() < 1e-6));
    assert!(path("dolly in", 5).at(1.0).width < zoom.at(1.0).width);
    let out = path("zoom out", 5);
    assert!(steps().map(|t| out.at(t).width).is_sorted());
}

#[test]
fn orbit_sways_to_both_sides_and_returns() {
    let orbit = path("orbit", 5);
    let middle = |t: f64| orbit.at(t).left + orbit.at(t).width / 2.0 - 800.0;
    let swing: Vec<f64> = steps().map(middle).collect();
    assert!(swing.iter().copied().fold(0.0, f64::max) > 40.0);
    assert!(swing.iter().copied().fold(0.0, f64::min) < -40.0);
    assert!(middle(1.0).abs() < 1e-6);
}

#[test]
fn distance_increases_with_pace_and_duration() {
    let travel = |prompt: &str, seconds: u32| {
        let path = path(prompt, seconds);
        path.at(1.0).left - path.at(0.0).left
    };
    assert!(travel("fast pan right", 5) > 1.2 * travel("pan right", 5));
    assert!(travel("pan right", 5) > 1.2 * travel("slow pan right", 5));
    assert!(travel("pan right", 10) > travel("pan right", 2));
}

#[test]
fn still_shot_zooms_by_about_two_percent() {
    let still = path("static shot", 5);
    let grown = still.at(0.0).width / still.at(1.0).width;
    assert!(grown > 1.005 && grown < 1.03, "{grown}");
}
