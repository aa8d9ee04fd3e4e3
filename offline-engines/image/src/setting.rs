//! Scene, time of day, palette and light, derived from a prompt.

use crate::canvas::Canvas;
use crate::colour::hex;
use crate::palette::Palette;
use crate::path::Point;
use crate::prompt::{ParsedPrompt, Scene, Style, Subject, Time, Weather};
use crate::random::Rng;

/// All decisions about a picture that are made before drawing starts.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) prompt: ParsedPrompt,
    pub(crate) scene: Scene,
    pub(crate) time: Time,
    pub(crate) palette: Palette,
    pub(crate) rng: Rng,
    /// Position of the sun or moon, as fractions of width and height.
    pub(crate) light: Point,
}

/// Position and size of a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Bottom centre, in pixels.
    pub(crate) foot: Point,
    /// Length of one unit of the subject's coordinates, in pixels: the height of a sitting cat.
    pub(crate) size: f32,
}

impl Placement {
    /// Places a subject on the canvas. `foot` is in fractions of its width and height, `size` in fractions of its shorter side.
    pub(crate) fn new(canvas: &Canvas<'_>, foot: Point, size: f32) -> Self {
        Self { foot: (canvas.w() * foot.0, canvas.h() * foot.1), size: canvas.unit() * size }
    }
}

impl Setting {
    /// Parses the prompt and derives all that it leaves open from the seed.
    pub(crate) fn from_prompt(text: &str, seed: u64) -> Self {
        let prompt = ParsedPrompt::parse(text);
        let rng = Rng::new(seed);
        let mut choice = rng.fork("setting");
        let scene = scene_for(&prompt, &mut choice);
        let time = time_for(&prompt, scene, &mut choice);
        let mut palette = Palette::new(&prompt, time, &mut choice);
        if matches!(scene, Scene::Lunar | Scene::Space) && !prompt.has_style(Style::Ink) {
            // No atmosphere: objects are lit by almost white light, against a black sky.
            palette.light = hex(0xf6f4f2);
        }
        let low = matches!(time, Time::Dawn | Time::Sunset | Time::Dusk);
        let side = if choice.chance(0.5) { choice.range(0.24, 0.4) } else { choice.range(0.6, 0.76) };
        let height = if low { choice.range(0.4, 0.48) } else { choice.range(0.16, 0.24) };
        Self { prompt, scene, time, palette, rng, light: (side, height) }
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

/// Returns the scene that the prompt names, or one that suits its subjects, or a random one.
fn scene_for(prompt: &ParsedPrompt, rng: &mut Rng) -> Scene {
    let named = &prompt.scenes;
    for scene in [Scene::Room, Scene::Lunar, Scene::Underwater, Scene::Lake] {
        // These scenes contain others (hills behind a lake, a view through a window), so they take precedence.
        if named.contains(&scene) {
            return scene;
        }
    }
    if let Some(&scene) = named.first() {
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
    if let Some((subject, _)) =
        prompt.subjects.iter().find(|(subject, _)| !matches!(subject, Subject::Sun | Subject::Moon))
    {
        return default_scene(*subject, prompt.time.is_some() || !prompt.weather.is_empty());
    }
    if prompt.has_weather(Weather::Aurora) {
        return Scene::Lake;
    }
    let outdoors =
        [Scene::Mountains, Scene::Lake, Scene::Sea, Scene::Meadow, Scene::Mountains, Scene::Desert, Scene::Forest];
    if prompt.time.is_none()
        && prompt.weather.is_empty()
        && !prompt.has_subject(Subject::Sun)
        && !prompt.has_subject(Subject::Moon)
    {
        let any = [Scene::Abstract, Scene::Mountains, Scene::Abstract, Scene::Sea, Scene::Lake, Scene::Meadow];
        return any[rng.below(any.len())];
    }
    outdoors[rng.below(outdoors.len())]
}

/// Returns the scene for a subject if the prompt names none.
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

/// Returns the time of day that the prompt names, or one that suits its content and the scene.
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
        Scene::Meadow | Scene::Room | Scene::Studio | Scene::Underwater => Time::Day,
    }
}
