//! The things a prompt names, as stylised figures. Each is drawn in its own small coordinates: feet at the origin, y
//! pointing down, 1 being the height of a sitting cat.

mod animals;
mod bicycle;
mod brush;
mod buildings;
mod cat;
mod people;
mod plants;
mod portrait;
mod things;
mod vehicles;

use crate::canvas::Canvas;
use crate::colour::{Rgb, hex};
use crate::lexicon::{Reading, Scene, Subject};
use crate::random::Dice;
use crate::scene::{Setting, Stage};

use brush::Brush;

/// Sun and moon belong to the sky and are painted with it.
pub(crate) fn any_solid(reading: &Reading) -> bool {
    reading.subjects.iter().any(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon))
}

pub(crate) fn paint_all(canvas: &mut Canvas<'_>, setting: &Setting, stage: Stage) {
    let mut cast: Vec<(Subject, Option<Rgb>)> = setting.reading.subjects.clone();
    cast.retain(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon));
    if setting.reading.has(Subject::Bicycle) {
        // Whoever is named beside a bicycle rides it.
        cast.retain(|(subject, _)| !matches!(subject, Subject::Astronaut | Subject::Portrait | Subject::Robot));
    }
    if setting.reading.has(Subject::Blossom) || setting.scene == Scene::Meadow {
        // A meadow has flowers of its own.
        cast.retain(|(subject, _)| *subject != Subject::Flower);
    }
    // Back to front.
    cast.sort_by_key(|(subject, _)| rank(*subject));
    let (width, unit) = (canvas.w(), canvas.unit());
    let grounded = cast.iter().filter(|(subject, _)| rank(*subject) > 0).count();
    let mut index = 0;
    for (subject, colour) in cast {
        let mut place = stage;
        if rank(subject) == 0 {
            place.foot = (width * 0.5, canvas.h() * 0.5);
        } else {
            let spread = if grounded > 1 { index as f32 / (grounded - 1) as f32 - 0.5 } else { 0.0 };
            place.foot.0 += spread * (width * 0.5).min(unit * 0.62);
            if grounded > 1 {
                place.size *= 0.86;
            }
            index += 1;
        }
        one(canvas, setting, (subject, colour), place, false);
    }
}

/// The first subject alone, as large as the canvas allows.
pub(crate) fn sticker(canvas: &mut Canvas<'_>, setting: &Setting) {
    let first = setting.reading.subjects.iter().find(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon));
    let Some(&(subject, colour)) = first else { return };
    let (size, drop) = match subject {
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
    let stage = Stage { foot: (canvas.w() * 0.5, canvas.h() * 0.5 + unit * drop), size: unit * size };
    one(canvas, setting, (subject, colour), stage, true);
}

/// 0 floats in the air, 1 stands far, 2 stands near.
fn rank(subject: Subject) -> u8 {
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

fn one(
    canvas: &mut Canvas<'_>,
    setting: &Setting,
    (subject, colour): (Subject, Option<Rgb>),
    stage: Stage,
    solo: bool,
) {
    let dice = setting.dice.fork("subject");
    let alone = setting.scene == Scene::Studio;
    let mut brush = Brush::new(canvas, setting, stage, dice);
    brush.solo = solo;
    match subject {
        Subject::Cat => cat::cat(&mut brush, colour),
        Subject::Dog => animals::dog(&mut brush, colour),
        Subject::Rabbit => animals::rabbit(&mut brush, colour),
        Subject::Birds => animals::birds(&mut brush, colour),
        Subject::Fish => animals::fish(&mut brush, colour),
        Subject::Portrait if alone => portrait::portrait(&mut brush, colour),
        Subject::Portrait => people::walker(&mut brush, colour),
        Subject::Astronaut => people::astronaut(&mut brush, colour),
        Subject::Robot => people::robot(&mut brush, colour),
        Subject::Bicycle => bicycle::bicycle(&mut brush, colour, &setting.reading),
        Subject::Car => vehicles::car(&mut brush, colour),
        Subject::Rocket => vehicles::rocket(&mut brush, colour),
        Subject::Balloon => vehicles::balloon(&mut brush, colour),
        Subject::Boat => vehicles::boat(&mut brush, colour),
        Subject::Tree => plants::tree(&mut brush, colour.unwrap_or(hex(0x5f9a4e)), false),
        Subject::Blossom => plants::tree(&mut brush, colour.unwrap_or(hex(0xf3aec4)), true),
        Subject::Flower => plants::flowers(&mut brush, colour),
        Subject::House => buildings::house(&mut brush, colour),
        Subject::Castle => buildings::castle(&mut brush, colour),
        Subject::Lighthouse => buildings::lighthouse(&mut brush, colour),
        Subject::Pagoda => buildings::pagoda(&mut brush, colour),
        Subject::Cup => things::cup(&mut brush, colour),
        Subject::Sun | Subject::Moon => {}
    }
}

/// One of the colours, unless the prompt named one.
fn choose(dice: &mut Dice, named: Option<Rgb>, codes: &[u32]) -> Rgb {
    let pick = hex(codes[dice.below(codes.len())]);
    named.unwrap_or(pick)
}
