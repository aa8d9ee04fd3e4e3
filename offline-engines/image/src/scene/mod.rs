//! The places. Each function paints one over the whole canvas and says where a subject may stand in it.

mod abstracts;
mod city;
mod desert;
mod forest;
mod indoors;
mod land;
mod mountains;
mod sea;
mod sky;
mod space;
mod underwater;
mod water;
mod weather;

use crate::canvas::Canvas;
use crate::colour::hex;
use crate::lexicon::{Reading, Scene, Style, Subject, Time, Weather};
use crate::palette::Palette;
use crate::path::Point;
use crate::random::Dice;

pub(crate) use weather::fall as weather_fall;

/// Everything decided before the first stroke.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) reading: Reading,
    pub(crate) scene: Scene,
    pub(crate) time: Time,
    pub(crate) palette: Palette,
    pub(crate) dice: Dice,
    /// Where the light stands, as shares of width and height.
    pub(crate) light: Point,
}

/// Where the subject goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    /// Middle of its foot, in pixels.
    pub(crate) foot: Point,
    /// Height of something the size of a sitting cat, in pixels.
    pub(crate) size: f32,
}

impl Setting {
    pub(crate) fn of(prompt: &str, seed: u64) -> Self {
        let reading = Reading::of(prompt);
        let dice = Dice::new(seed);
        let mut choice = dice.fork("setting");
        let scene = scene_for(&reading, &mut choice);
        let time = time_for(&reading, scene, &mut choice);
        let mut palette = Palette::of(&reading, time, &mut choice);
        if matches!(scene, Scene::Lunar | Scene::Space) && !reading.style(Style::Ink) {
            // Nothing between the sun and the things: they show their own colours, against a black sky.
            palette.light = hex(0xf6f4f2);
        }
        let low = matches!(time, Time::Dawn | Time::Sunset | Time::Dusk);
        let side = if choice.chance(0.5) { choice.range(0.24, 0.4) } else { choice.range(0.6, 0.76) };
        let height = if low { choice.range(0.4, 0.48) } else { choice.range(0.16, 0.24) };
        Self { reading, scene, time, palette, dice, light: (side, height) }
    }

    /// `-1.0` when the light comes from the left.
    pub(crate) fn light_side(&self) -> f32 {
        if self.light.0 < 0.5 { -1.0 } else { 1.0 }
    }

    pub(crate) fn ink(&self) -> bool {
        self.reading.style(Style::Ink)
    }

    pub(crate) fn plain(&self) -> bool {
        self.reading.style(Style::Minimal)
    }

    pub(crate) fn snowy(&self) -> bool {
        self.reading.sky_has(Weather::Snow)
    }
}

pub(crate) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Stage {
    match setting.scene {
        Scene::Mountains => mountains::paint(canvas, setting),
        Scene::Lake => mountains::lake(canvas, setting),
        Scene::Sea => sea::paint(canvas, setting),
        Scene::Forest => forest::paint(canvas, setting),
        Scene::Desert => desert::paint(canvas, setting),
        Scene::City => city::paint(canvas, setting),
        Scene::Meadow => land::meadow(canvas, setting),
        Scene::Room => indoors::room(canvas, setting),
        Scene::Studio => indoors::studio(canvas, setting),
        Scene::Space => space::deep(canvas, setting),
        Scene::Lunar => space::lunar(canvas, setting),
        Scene::Underwater => underwater::paint(canvas, setting),
        Scene::Abstract => abstracts::paint(canvas, setting),
    }
}

fn scene_for(reading: &Reading, dice: &mut Dice) -> Scene {
    let named = &reading.scenes;
    for inside in [Scene::Room, Scene::Lunar, Scene::Underwater, Scene::Lake] {
        // These hold other scenes within them: hills behind a lake, a view in a window.
        if named.contains(&inside) {
            return inside;
        }
    }
    if let Some(&scene) = named.first() {
        return scene;
    }
    if reading.futuristic {
        return Scene::City;
    }
    for landmark in [Subject::Pagoda, Subject::Castle, Subject::Lighthouse] {
        if reading.has(landmark) {
            return home_of(landmark, true);
        }
    }
    if let Some((subject, _)) =
        reading.subjects.iter().find(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon))
    {
        return home_of(*subject, reading.time.is_some() || !reading.weather.is_empty());
    }
    if reading.sky_has(Weather::Aurora) {
        return Scene::Lake;
    }
    let outdoors =
        [Scene::Mountains, Scene::Lake, Scene::Sea, Scene::Meadow, Scene::Mountains, Scene::Desert, Scene::Forest];
    if reading.time.is_none() && reading.weather.is_empty() && !reading.has(Subject::Sun) && !reading.has(Subject::Moon)
    {
        let any = [Scene::Abstract, Scene::Mountains, Scene::Abstract, Scene::Sea, Scene::Lake, Scene::Meadow];
        return any[dice.below(any.len())];
    }
    outdoors[dice.below(outdoors.len())]
}

fn home_of(subject: Subject, outdoors: bool) -> Scene {
    match subject {
        Subject::Cat | Subject::Dog | Subject::Rabbit | Subject::Flower if outdoors => Scene::Meadow,
        Subject::Cat
        | Subject::Dog
        | Subject::Rabbit
        | Subject::Flower
        | Subject::Portrait
        | Subject::Robot
        | Subject::Cup => Scene::Studio,
        Subject::Astronaut => Scene::Lunar,
        Subject::Rocket => Scene::Space,
        Subject::Fish => Scene::Underwater,
        Subject::Boat | Subject::Lighthouse | Subject::Sun | Subject::Moon => Scene::Sea,
        Subject::Castle | Subject::Pagoda | Subject::Birds => Scene::Mountains,
        Subject::Car => Scene::Desert,
        Subject::Tree | Subject::Blossom | Subject::House | Subject::Bicycle | Subject::Balloon => Scene::Meadow,
    }
}

fn time_for(reading: &Reading, scene: Scene, dice: &mut Dice) -> Time {
    if let Some(time) = reading.time {
        return time;
    }
    if reading.has(Subject::Moon) || reading.sky_has(Weather::Aurora) || reading.style(Style::Neon) {
        return Time::Night;
    }
    match scene {
        Scene::Space | Scene::Lunar => Time::Night,
        Scene::City if reading.futuristic => {
            if dice.chance(0.5) {
                Time::Dusk
            } else {
                Time::Night
            }
        }
        Scene::City => [Time::Dusk, Time::Sunset, Time::Day][dice.below(3)],
        Scene::Desert => [Time::Sunset, Time::Day][dice.below(2)],
        Scene::Abstract => [Time::Dawn, Time::Sunset, Time::Dusk, Time::Day][dice.below(4)],
        Scene::Mountains | Scene::Lake | Scene::Sea | Scene::Forest => {
            [Time::Day, Time::Day, Time::Dawn][dice.below(3)]
        }
        Scene::Meadow | Scene::Room | Scene::Studio | Scene::Underwater => Time::Day,
    }
}
