//! Backgrounds. Each scene covers the whole canvas and returns the position for a subject.
//!
//! Positions and lengths are in pixels, y points down. In all scenes `width` and `height` are those of the canvas, and `unit`
//! is its shorter side: `height * 0.56` is 56 % of the way down, `unit * 0.02` is 2 % of the shorter side. `u` and `v` are
//! distances in units, `u` from the vertical centre line: coordinates of noise, whose factors are its cells per unit.
//! `seed ^ 1`, `seed ^ 2` and so on are the seeds of independent noise. `depth` is 0 for the farthest layer and 1 for the
//! nearest; `below` is the distance from the upper edge of a layer. Proportions and colours are chosen by eye.

mod abstracts;
mod city;
mod conifers;
mod desert;
mod forest;
mod indoors;
mod lunar;
mod meadow;
mod mountains;
mod outline;
mod sea;
mod sky;
mod space;
mod underwater;
mod water;
mod weather;

use crate::canvas::Canvas;
use crate::prompt::Scene;
use crate::setting::{Placement, Setting};

pub(crate) use weather::paint_weather;

/// Draws the scene and returns where a subject stands.
pub(crate) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    match setting.scene {
        Scene::Mountains => mountains::paint(canvas, setting),
        Scene::Lake => mountains::lake(canvas, setting),
        Scene::Sea => sea::paint(canvas, setting),
        Scene::Forest => forest::paint(canvas, setting),
        Scene::Desert => desert::paint(canvas, setting),
        Scene::City => city::paint(canvas, setting),
        Scene::Meadow => meadow::paint(canvas, setting),
        Scene::Room => indoors::room(canvas, setting),
        Scene::Studio => indoors::studio(canvas, setting),
        Scene::Space => space::deep(canvas, setting),
        Scene::Lunar => lunar::moon(canvas, setting),
        Scene::Mars => lunar::mars(canvas, setting),
        Scene::Underwater => underwater::paint(canvas, setting),
        Scene::Abstract => abstracts::paint(canvas, setting),
    }
}
