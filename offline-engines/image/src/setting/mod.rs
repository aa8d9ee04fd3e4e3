//! The setting of a picture (not of the program): scene, time of day, palette and light, derived from the prompt and the seed.

use crate::canvas::Canvas;
use crate::colour::hex;
use crate::palette::Palette;
use crate::path::Point;
use crate::prompt::{ParsedPrompt, Scene, Style, Subject, Time, Weather};
use crate::random::Rng;

/// The choices for a picture that are made before drawing starts.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) prompt: ParsedPrompt,
    pub(crate) scene: Scene,
    pub(crate) time: Time,
    pub(crate) palette: Palette,
    /// The random numbers for details, derived from the seed.
    pub(crate) rng: Rng,
    /// Position of the sun or moon, as fractions of width and height.
    pub(crate) light: Point,
}

/// Position and size of a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// The bottom centre of the subject, in pixels.
    pub(crate) foot: Point,
    /// The length, in pixels, of one unit of the coordinates in which subjects are drawn. A sitting cat is one unit high.
    pub(crate) size: f32,
}

impl Placement {
    /// Converts a placement in fractions of the canvas to pixels: `foot` is in fractions of its width and height, `size` in
    /// fractions of its shorter side.
    pub(crate) fn new(canvas: &Canvas<'_>, foot: Point, size: f32) -> Self {
        Self { foot: (canvas.w() * foot.0, canvas.h() * foot.1), size: canvas.unit() * size }
    }
}

impl Setting {
    /// Parses the prompt. Choices that the prompt does not determine are random; the same seed gives the same choices.
    pub(crate) fn from_prompt(text: &str, seed: u64) -> Self {
        let prompt = ParsedPrompt::parse(text);
        let rng = Rng::new(seed);
        let mut choices = rng.fork("setting");
        let scene = scene_for(&prompt, &mut choices);
        let time = time_for(&prompt, scene, &mut choices);
        let mut palette = Palette::new(&prompt, time, &mut choices);
        if matches!(scene, Scene::Lunar | Scene::Space) && !prompt.has_style(Style::Ink) {
            // No atmosphere: objects are lit by almost white light, against a black sky.
            palette.light = hex(0xf6f4f2);
        }
        // Fractions of the canvas. The light is at the left or right, not in the middle, where the subject is.
        let is_low = matches!(time, Time::Dawn | Time::Sunset | Time::Dusk);
        let left = if choices.chance(0.5) { choices.range(0.24, 0.4) } else { choices.range(0.6, 0.76) };
        let top = if is_low { choices.range(0.4, 0.48) } else { choices.range(0.16, 0.24) };
        Self { prompt, scene, time, palette, rng, light: (left, top) }
    }

    /// Returns `-1.0` if the light comes from the left, `1.0` if from the right.
    pub(crate) fn light_side(&self) -> f32 {
        if self.light.0 < 0.5 { -1.0 } else { 1.0 }
    }

    pub(crate) fn is_ink(&self) -> bool {
        self.prompt.has_style(Style::Ink)
    }

    pub(crate) fn is_minimal(&self) -> bool {
        self.prompt.has_style(Style::Minimal)
    }

    pub(crate) fn is_snowy(&self) -> bool {
        self.prompt.has_weather(Weather::Snow)
    }
}

/// Returns a scene that the prompt names; otherwise one that suits its subjects or weather. A prompt without anything that can be
/// drawn gets the abstract scene.
fn scene_for(prompt: &ParsedPrompt, rng: &mut Rng) -> Scene {
    let named = &prompt.scenes;
    let has_subject = !prompt.subjects.is_empty();
    // These scenes can contain others (hills behind a lake, a view through a window), so they take precedence.
    for scene in [Scene::Room, Scene::Mars, Scene::Lunar, Scene::Underwater, Scene::Lake] {
        if named.contains(&scene) {
            return scene;
        }
    }
    // A studio without a subject is an empty stage.
    if let Some(&scene) = named.iter().find(|&&scene| scene != Scene::Studio || has_subject) {
        return scene;
    }
    if prompt.futuristic {
        return Scene::City;
    }
    for landmark in [Subject::Pagoda, Subject::Castle, Subject::Lighthouse] {
        if prompt.has_subject(landmark) {
            return default_scene(landmark, true);
        }
    }
    let sun_or_moon = [Subject::Sun, Subject::Moon];
    if let Some((subject, _)) = prompt.subjects.iter().find(|(subject, _)| !sun_or_moon.contains(subject)) {
        return default_scene(*subject, prompt.time.is_some() || !prompt.weather.is_empty());
    }
    if prompt.has_unknown_subject {
        return Scene::Abstract;
    }
    if prompt.has_weather(Weather::Aurora) {
        return Scene::Lake;
    }
    if prompt.time.is_none() && prompt.weather.is_empty() && !has_subject {
        return Scene::Abstract;
    }
    // A scene that is listed twice is twice as likely.
    let outdoors =
        [Scene::Mountains, Scene::Lake, Scene::Sea, Scene::Meadow, Scene::Mountains, Scene::Desert, Scene::Forest];
    outdoors[rng.below(outdoors.len())]
}

/// Returns the scene for a subject if the prompt names no scene. `outdoors`: the prompt has weather, a time of day or a landmark.
fn default_scene(subject: Subject, outdoors: bool) -> Scene {
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

/// Returns the time of day that the prompt names; otherwise one that suits its content and the scene, partly at random.
fn time_for(prompt: &ParsedPrompt, scene: Scene, rng: &mut Rng) -> Time {
    if let Some(time) = prompt.time {
        return time;
    }
    if prompt.has_subject(Subject::Moon) || prompt.has_weather(Weather::Aurora) || prompt.has_style(Style::Neon) {
        return Time::Night;
    }
    match scene {
        Scene::Space | Scene::Lunar => Time::Night,
        Scene::City if prompt.futuristic => {
            if rng.chance(0.5) {
                Time::Dusk
            } else {
                Time::Night
            }
        }
        Scene::City => [Time::Dusk, Time::Sunset, Time::Day][rng.below(3)],
        Scene::Desert => [Time::Sunset, Time::Day][rng.below(2)],
        Scene::Abstract => [Time::Dawn, Time::Sunset, Time::Dusk, Time::Day][rng.below(4)],
        Scene::Mountains | Scene::Lake | Scene::Sea | Scene::Forest => [Time::Day, Time::Day, Time::Dawn][rng.below(3)],
        Scene::Mars | Scene::Meadow | Scene::Room | Scene::Studio | Scene::Underwater => Time::Day,
    }
}

#[cfg(test)]
mod tests;
