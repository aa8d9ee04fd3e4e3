//! Rain, snow and fog in front of a scene and its subjects.

use crate::canvas::Canvas;
use crate::colour::{hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::Path;
use crate::prompt::{Scene, Weather};
use crate::setting::Setting;

/// Draws the prompt's weather over scene and subjects.
pub(crate) fn paint_weather(canvas: &mut Canvas<'_>, setting: &Setting) {
    if matches!(setting.scene, Scene::Underwater | Scene::Space | Scene::Lunar | Scene::Mars | Scene::Abstract) {
        return;
    }
    if setting.prompt.has_weather(Weather::Fog) {
        fog(canvas, setting);
    }
    // Indoors there is no rain or snow in the foreground.
    if matches!(setting.scene, Scene::Room | Scene::Studio) {
        return;
    }
    if setting.prompt.has_weather(Weather::Rain) || setting.prompt.has_weather(Weather::Storm) {
        rain(canvas, setting);
    }
    if setting.is_snowy() {
        snow(canvas, setting);
    }
}

fn fog(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (unit, height) = (canvas.unit(), canvas.h());
    let seed = setting.rng.fork("fog").seed();
    let octaves = canvas.octaves(4);
    let haze = setting.palette.haze.lighter(0.12);
    canvas.shade(0..canvas.height, |x, y| {
        let bank = noise::cloudy(seed, x / unit * 1.2, y / unit * 4.5, octaves);
        let height = smooth(0.3, 0.62, y / height) * smooth(1.1, 0.75, y / height);
        (haze, smooth(0.34, 0.72, bank) * height * 0.72)
    });
}

fn rain(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("rain");
    // Drops per square unit; length and thickness in units.
    for (count, long, thick, alpha) in [(260.0, 0.035, 0.0011, 0.2), (90.0, 0.075, 0.0018, 0.26)] {
        let mut drops = Path::default();
        for _ in 0..(count * width * height / (unit * unit)).min(4000.0) as usize {
            let place = (rng.range(-0.05, 1.05) * width, rng.range(-0.05, 1.0) * height);
            let fall = unit * long * rng.range(0.7, 1.3);
            drops.polygons.extend(
                Path::stroke(&[place, (place.0 - fall * 0.16, place.1 + fall)], (unit * thick * 0.5, unit * thick))
                    .polygons,
            );
        }
        canvas.fill(&drops, &Paint::Flat((setting.palette.cloud_lit.lighter(0.4), alpha)));
    }
}

fn snow(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("snow");
    // Flakes per square unit; radius in units.
    for (count, size, alpha) in [(300.0, 0.0019, 0.65), (110.0, 0.004, 0.8), (16.0, 0.009, 0.4)] {
        let mut flakes = Path::default();
        for _ in 0..(count * width * height / (unit * unit)).min(5000.0) as usize {
            let place = (rng.range(0.0, width), rng.range(0.0, height));
            let radius = unit * size * rng.range(0.6, 1.3);
            flakes.polygons.extend(Path::ellipse(place, radius, radius).polygons);
        }
        canvas.fill(&flakes, &Paint::Flat((hex(0xffffff).times(setting.palette.light).lighter(0.5), alpha)));
    }
}
