//! The subjects of a prompt, as stylized figures. Each is drawn in its own coordinates: the origin is its bottom centre, y
//! points down, one unit is the height of a sitting cat.
//!
//! The functions that draw a subject take a [`Brush`] as `b` and the colour that the prompt gives the subject as `named`.
//! They draw from back to front. Shapes and colours are chosen by eye.

mod animals;
mod bicycle;
mod brush;
mod buildings;
mod cat;
mod cup;
mod people;
mod plants;
mod portrait;
mod vehicles;

use crate::canvas::Canvas;
use crate::colour::{Rgb, hex};
use crate::prompt::{ParsedPrompt, Scene, Subject};
use crate::setting::{Placement, Setting};

use brush::Brush;
use plants::Foliage;

/// Returns whether the prompt names a subject other than sun and moon, which are part of the sky.
pub(crate) fn has_figure(prompt: &ParsedPrompt) -> bool {
    prompt.subjects.iter().any(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon))
}

/// Draws all subjects around a position.
pub(crate) fn paint_all(canvas: &mut Canvas<'_>, setting: &Setting, placement: Placement) {
    let mut subjects: Vec<(Subject, Option<Rgb>)> = setting.prompt.subjects.clone();
    subjects.retain(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon));
    if setting.prompt.has_subject(Subject::Bicycle) {
        // A person named together with a bicycle is drawn as its rider.
        subjects.retain(|(subject, _)| !matches!(subject, Subject::Astronaut | Subject::Portrait | Subject::Robot));
    }
    if setting.prompt.has_subject(Subject::Blossom) || setting.scene == Scene::Meadow {
        // Meadows already contain flowers, and flowers named with a blossoming tree are its blossoms.
        subjects.retain(|(subject, _)| *subject != Subject::Flower);
    }
    // Draw from back to front.
    subjects.sort_by_key(|(subject, _)| depth_order(*subject));
    let (width, unit) = (canvas.w(), canvas.unit());
    let grounded = subjects.iter().filter(|(subject, _)| depth_order(*subject) > 0).count();
    let mut index = 0;
    for (subject, colour) in subjects {
        let mut place = placement;
        if depth_order(subject) == 0 {
            place.foot = (width * 0.5, canvas.h() * 0.5);
        } else {
            let spread = if grounded > 1 { index as f32 / (grounded - 1) as f32 - 0.5 } else { 0.0 };
            place.foot.0 += spread * (width * 0.5).min(unit * 0.62);
            if grounded > 1 {
                place.size *= 0.86;
            }
            index += 1;
        }
        let mut brush = Brush::new(canvas, setting, place, setting.rng.fork("subject"));
        paint_one(&mut brush, setting, (subject, colour));
    }
}

/// Draws the first subject alone, filling the canvas.
pub(crate) fn paint_solo(canvas: &mut Canvas<'_>, setting: &Setting) {
    let first = setting.prompt.subjects.iter().find(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon));
    let Some(&(subject, colour)) = first else { return };
    // The length of the subject's unit, and the distance of its foot below the middle, as fractions of the shorter side.
    let (size, offset) = match subject {
        Subject::Portrait => (0.52, 0.5),
        Subject::Car | Subject::Bicycle | Subject::Boat => (0.5, 0.2),
        Subject::Fish | Subject::Birds | Subject::Balloon => (0.55, 0.0),
        Subject::Cat
        | Subject::Dog
        | Subject::Rabbit
        | Subject::Astronaut
        | Subject::Robot
        | Subject::Tree
        | Subject::Blossom
        | Subject::House
        | Subject::Castle
        | Subject::Lighthouse
        | Subject::Pagoda
        | Subject::Rocket
        | Subject::Flower
        | Subject::Cup
        | Subject::Sun
        | Subject::Moon => (0.6, 0.4),
    };
    let unit = canvas.unit();
    let placement = Placement { foot: (canvas.w() * 0.5, canvas.h() * 0.5 + unit * offset), size: unit * size };
    let mut brush = Brush::new(canvas, setting, placement, setting.rng.fork("subject"));
    brush.solo = true;
    paint_one(&mut brush, setting, (subject, colour));
}

/// Returns the drawing order: 0 for subjects in the air, 1 for distant ones, 2 for near ones.
fn depth_order(subject: Subject) -> u8 {
    match subject {
        Subject::Birds | Subject::Balloon | Subject::Sun | Subject::Moon => 0,
        Subject::Castle | Subject::Lighthouse | Subject::Pagoda | Subject::House | Subject::Tree | Subject::Blossom => {
            1
        }
        Subject::Cat
        | Subject::Dog
        | Subject::Rabbit
        | Subject::Portrait
        | Subject::Astronaut
        | Subject::Bicycle
        | Subject::Robot
        | Subject::Boat
        | Subject::Car
        | Subject::Rocket
        | Subject::Flower
        | Subject::Fish
        | Subject::Cup => 2,
    }
}

/// Draws one subject.
fn paint_one(brush: &mut Brush<'_, '_>, setting: &Setting, (subject, colour): (Subject, Option<Rgb>)) {
    let in_studio = setting.scene == Scene::Studio;
    match subject {
        Subject::Cat => cat::cat(brush, colour),
        Subject::Dog => animals::dog(brush, colour),
        Subject::Rabbit => animals::rabbit(brush, colour),
        Subject::Birds => animals::birds(brush, colour),
        Subject::Fish => animals::fish(brush, colour),
        Subject::Portrait if in_studio => portrait::portrait(brush, colour),
        Subject::Portrait => people::walker(brush, colour),
        Subject::Astronaut => people::astronaut(brush, colour),
        Subject::Robot => people::robot(brush, colour),
        Subject::Bicycle => bicycle::bicycle(brush, colour, &setting.prompt),
        Subject::Car => vehicles::car(brush, colour),
        Subject::Rocket => vehicles::rocket(brush, colour),
        Subject::Balloon => vehicles::balloon(brush, colour),
        Subject::Boat => vehicles::boat(brush, colour),
        Subject::Tree => plants::tree(brush, colour.unwrap_or(hex(0x5f9a4e)), Foliage::Leaves),
        Subject::Blossom => plants::tree(brush, colour.unwrap_or(hex(0xf3aec4)), Foliage::Blossoms),
        Subject::Flower => plants::flowers(brush, colour),
        Subject::House => buildings::house(brush, colour),
        Subject::Castle => buildings::castle(brush, colour),
        Subject::Lighthouse => buildings::lighthouse(brush, colour),
        Subject::Pagoda => buildings::pagoda(brush, colour),
        Subject::Cup => cup::cup(brush, colour),
        Subject::Sun | Subject::Moon => {}
    }
}
