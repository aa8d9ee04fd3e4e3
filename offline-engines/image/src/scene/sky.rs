//! The sky of outdoor scenes: gradient, sun or moon, clouds, stars, aurora, lightning.
//!
//! Coordinates, `unit`, `u` and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use crate::canvas::Canvas;
use crate::colour::{Rgb, gradient, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::prompt::{Scene, Subject, Time, Weather};
use crate::random;
use crate::setting::Setting;

/// Draws the sky above `horizon`, a y coordinate, and slightly below it.
pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting, horizon: f32) {
    let (unit, width) = (canvas.unit(), canvas.w());
    let palette = setting.palette;
    let disc = disc_position(canvas, setting, horizon);
    let mut rng = setting.rng.fork("sky");
    let (seed, star_seed) = (rng.seed(), rng.seed());
    let rows = 0..((horizon + unit * 0.05) as usize).min(canvas.height);
    let warmth = if palette.night { 0.16 } else { 0.42 };
    canvas.shade(rows.clone(), |x, y| {
        let drift = (noise::plane(seed, x / unit * 1.3, y / unit * 2.0) - 0.5) * 0.06;
        let mut colour = gradient(&palette.sky, y / horizon + drift);
        let (dx, dy) = ((x - disc.0) / unit, (y - disc.1) / unit);
        let near = (-(dx * dx + dy * dy * 2.2) * 5.0).exp() * warmth;
        colour = colour.to(palette.disc, near);
        (colour, 1.0)
    });
    if palette.night {
        stars(canvas, star_seed, horizon, 1.0);
    }
    if setting.prompt.has_weather(Weather::Aurora) {
        aurora(canvas, rng.seed(), horizon);
    }
    sun_or_moon(canvas, setting, disc);
    let wanted = setting.prompt.has_weather(Weather::Cloudy)
        || setting.prompt.has_weather(Weather::Storm)
        || setting.prompt.has_weather(Weather::Rain);
    if !(setting.is_minimal() || setting.is_ink()) && (wanted || !palette.night) {
        let cover = if wanted { 0.36 } else { rng.range(0.5, 0.56) };
        clouds(canvas, setting, (horizon, cover, rng.seed()), width, disc);
    }
    if setting.prompt.has_weather(Weather::Storm) {
        lightning(canvas, setting, horizon);
    }
}

/// Returns the position of the sun or moon.
fn disc_position(canvas: &Canvas<'_>, setting: &Setting, horizon: f32) -> Point {
    let low = matches!(setting.time, Time::Dawn | Time::Sunset | Time::Dusk);
    let lift = if setting.scene == Scene::Mountains || setting.scene == Scene::Lake { 0.4 } else { 0.17 };
    let y = if low {
        (horizon - canvas.unit() * lift).max(horizon * 0.3)
    } else {
        setting.light.1 * canvas.h().min(horizon * 1.4)
    };
    (setting.light.0 * canvas.w(), y)
}

/// Draws the sun or the moon.
fn sun_or_moon(canvas: &mut Canvas<'_>, setting: &Setting, place: Point) {
    let (unit, palette) = (canvas.unit(), setting.palette);
    let hidden = setting.prompt.has_weather(Weather::Storm)
        || setting.prompt.has_weather(Weather::Rain)
        || setting.time == Time::Dusk;
    let named = setting.prompt.has_subject(Subject::Sun) || setting.prompt.has_subject(Subject::Moon);
    if hidden && !named {
        return;
    }
    let moon = palette.night && !setting.prompt.has_subject(Subject::Sun) || setting.prompt.has_subject(Subject::Moon);
    let size = if named { 1.5 } else { 1.0 };
    if moon {
        let radius = unit * 0.042 * size;
        canvas.glow(place, radius * 7.0, palette.disc.to(palette.sky[2], 0.4), 0.42);
        canvas.glow(place, radius * 2.4, palette.disc, 0.4);
        moon_face(canvas, place, radius, palette.disc);
        return;
    }
    let day = setting.time == Time::Day;
    let radius = unit * size * if day { 0.04 } else { 0.062 };
    if !setting.is_ink() {
        canvas.glow(place, unit * 0.5, palette.disc, 0.4);
        canvas.glow(place, radius * 3.0, palette.disc, 0.55);
    }
    let edge = palette.disc.to(palette.sky[2], if day { 0.0 } else { 0.25 });
    let face = Paint::vertical(place.1 - radius, place.1 + radius, (palette.disc, 1.0), (edge, 1.0));
    canvas.fill(&Path::ellipse(place, radius, radius), &face);
}

/// Draws a full moon with maria.
fn moon_face(canvas: &mut Canvas<'_>, place: Point, radius: f32, colour: Rgb) {
    let face = Path::ellipse(place, radius, radius);
    canvas.fill(&face, &Paint::solid(colour));
    for (x, y, r, depth) in
        [(-0.3, -0.25, 0.36, 0.1), (0.25, -0.05, 0.28, 0.08), (-0.1, 0.4, 0.3, 0.08), (0.42, 0.42, 0.14, 0.06)]
    {
        let sea = Path::ellipse((place.0 + x * radius, place.1 + y * radius), r * radius, r * radius * 0.9);
        canvas.fill_within(&sea, Some(&face), &Paint::Flat((colour.darker(0.45), depth * 2.2)));
    }
    let shade = Paint::Linear {
        from: (place.0 - radius, place.1 - radius * 0.6),
        to: (place.0 + radius, place.1 + radius * 0.6),
        start: (colour, 0.0),
        end: (colour.darker(0.6), 0.4),
    };
    canvas.fill(&face, &shade);
}

/// Draws stars above `horizon`; a `density` of 1 fills about a third of the cells. A lattice cell contains at most one
/// star, so that a pixel depends on its own cell only.
pub(super) fn stars(canvas: &mut Canvas<'_>, seed: u32, horizon: f32, density: f32) {
    let unit = canvas.unit();
    for (layer, cells) in [(0_u32, 34.0), (1, 70.0)] {
        let cell = (unit / cells).max(7.0);
        canvas.shade(0..(horizon as usize).min(canvas.height), |x, y| {
            let (cx, cy) = ((x / cell).floor(), (y / cell).floor());
            let pick = |part: u32| random::lattice(seed.wrapping_add(part + layer * 7), cx as i32, cy as i32);
            if pick(0) > 0.34 * density {
                return (hex(0), 0.0);
            }
            let bright = pick(1).powi(3);
            let radius = (unit * (0.0006 + 0.0013 * bright)).max(0.45);
            let place = ((cx + 0.25 + 0.5 * pick(2)) * cell, (cy + 0.25 + 0.5 * pick(3)) * cell);
            let far = (x - place.0).hypot(y - place.1);
            let core = smooth(radius + 0.7, radius - 0.6, far) + 0.35 * bright * smooth(radius * 4.0, 0.0, far);
            let fade = smooth(horizon, horizon * 0.35, y) * (0.35 + 0.65 * bright);
            let colour = gradient(&[hex(0xa9c6ff), hex(0xffffff), hex(0xffe6bf)], pick(4));
            (colour, core.min(1.0) * fade)
        });
    }
}

/// Draws the Milky Way: a band of light with dark dust lanes.
pub(super) fn milky_way(canvas: &mut Canvas<'_>, seed: u32, horizon: f32, colours: [Rgb; 2]) {
    let (unit, width) = (canvas.unit(), canvas.w());
    let octaves = canvas.octaves(5);
    canvas.shade(0..(horizon as usize).min(canvas.height), |x, y| {
        let (u, v) = ((x - width * 0.5) / unit, y / unit);
        let across = (v - 0.32 - u * 0.55) * 2.6;
        let veil = noise::cloudy(seed, u * 2.4, v * 2.4, octaves);
        let band = (-(across * across) * 2.2).exp();
        let dust = smooth(0.45, 0.7, noise::cloudy(seed ^ 9, u * 4.0 + 3.0, v * 4.0, octaves))
            * (-(across * across) * 14.0).exp();
        let light = band * smooth(0.3, 0.75, veil) * (1.0 - 0.75 * dust);
        (colours[0].to(colours[1], smooth(0.35, 0.65, veil)), light * 0.5 * smooth(horizon, horizon * 0.4, y))
    });
}

/// Draws clouds, lit from the side of the sun or moon at `disc`. The noise must exceed `cover` where there is a cloud, so a
/// smaller value gives more clouds.
fn clouds(
    canvas: &mut Canvas<'_>,
    setting: &Setting,
    (horizon, cover, seed): (f32, f32, u32),
    width: f32,
    disc: Point,
) {
    let (unit, palette) = (canvas.unit(), setting.palette);
    let octaves = canvas.octaves(5);
    let streaky = matches!(setting.time, Time::Dawn | Time::Sunset | Time::Dusk);
    let (sx, sy) = if streaky { (1.5, 6.5) } else { (1.7, 3.4) };
    let toward = ((disc.0 - width * 0.5).signum() * 0.06, -0.09);
    canvas.shade(0..(horizon as usize).min(canvas.height), |x, y| {
        // Clouds are flatter and denser towards the horizon, by perspective.
        let height = (y / horizon).clamp(0.0, 1.0);
        let squeeze = 0.7 + 1.3 * height * height;
        let (u, v) = ((x - width * 0.5) / unit * sx * squeeze, y / unit * sy * squeeze);
        let thick = noise::cloudy(seed, u, v, octaves);
        let body = smooth(cover, cover + 0.17, thick);
        if body <= 0.0 {
            return (palette.cloud_lit, 0.0);
        }
        let beyond = noise::cloudy(seed, u + toward.0 * sx, v + toward.1 * sy * 0.7, octaves.min(4));
        let lit = smooth(-0.08, 0.1, thick - beyond) * (1.0 - 0.35 * smooth(cover + 0.1, cover + 0.35, thick));
        let near = (-((x - disc.0) / unit).powi(2) * 3.0).exp();
        let colour = palette.cloud_dark.to(palette.cloud_lit, lit).to(palette.disc, near * lit * 0.5);
        let ends = smooth(0.0, 0.1, height + 0.05) * smooth(1.02, 0.78, height);
        (colour, body * ends * 0.86)
    });
}

/// Draws three curtains of northern lights above `horizon`.
fn aurora(canvas: &mut Canvas<'_>, seed: u32, horizon: f32) {
    let (unit, width) = (canvas.unit(), canvas.w());
    for (curtain, strength) in [(0_u32, 0.6), (1, 0.85), (2, 0.55)] {
        let seed = seed.wrapping_add(curtain * 977);
        canvas.shade(0..(horizon as usize).min(canvas.height), |x, y| {
            let u = (x - width * 0.5) / unit;
            let sway = noise::rolling(seed, u * 1.6 + 8.0, 4);
            let foot = horizon * (0.36 + 0.16 * curtain as f32 + 0.5 * (sway - 0.5));
            let tall = horizon * (0.34 + 0.3 * noise::line(seed ^ 5, u * 2.3 + 40.0));
            let up = (foot - y) / tall;
            let rays = 0.4 + 0.6 * noise::rolling(seed ^ 3, u * 26.0 + 90.0, 3);
            let body = if up < 0.0 { smooth(-0.09, 0.0, up) } else { (-up * 2.6).exp() * smooth(1.0, 0.6, up) };
            let colour = gradient(&[hex(0x7dffb0), hex(0x35e0a0), hex(0x2aa6c0), hex(0x8a4fd0)], up);
            (colour, body * rays * strength * smooth(horizon, horizon * 0.8, y))
        });
    }
}

/// Draws a flash of lightning from the clouds to `horizon`.
fn lightning(canvas: &mut Canvas<'_>, setting: &Setting, horizon: f32) {
    let unit = canvas.unit();
    let mut rng = setting.rng.fork("lightning");
    let mut place = (canvas.w() * rng.range(0.3, 0.7), horizon * 0.12);
    canvas.glow((place.0, horizon * 0.4), unit * 0.55, hex(0xb8c8ff), 0.4);
    let mut line = vec![place];
    while place.1 < horizon {
        place = (place.0 + rng.range(-0.05, 0.05) * unit, place.1 + rng.range(0.02, 0.06) * unit);
        line.push(place);
        if rng.chance(0.3) {
            let side = rng.sign();
            let branch = [
                place,
                (place.0 + side * unit * 0.05, place.1 + unit * 0.05),
                (place.0 + side * unit * 0.07, place.1 + unit * 0.11),
            ];
            canvas.fill(&Path::stroke(&branch, (unit * 0.003, unit * 0.0008)), &Paint::Flat((hex(0xdfe6ff), 0.8)));
        }
    }
    canvas.fill(&Path::stroke(&line, (unit * 0.008, unit * 0.004)), &Paint::Flat((hex(0xaab8ff), 0.35)));
    canvas.fill(&Path::stroke(&line, (unit * 0.0045, unit * 0.002)), &Paint::solid(hex(0xffffff)));
}
