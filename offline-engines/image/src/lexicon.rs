//! From the words of a prompt to what is to be painted.

mod words;

use crate::colour::Rgb;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    Mountains,
    Sea,
    Lake,
    Forest,
    Desert,
    City,
    Meadow,
    Room,
    Studio,
    Space,
    Lunar,
    Underwater,
    Abstract,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Cat,
    Dog,
    Rabbit,
    Birds,
    Portrait,
    Astronaut,
    Bicycle,
    Robot,
    Tree,
    Blossom,
    House,
    Castle,
    Lighthouse,
    Pagoda,
    Boat,
    Car,
    Rocket,
    Balloon,
    Flower,
    Fish,
    Cup,
    Sun,
    Moon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    Dawn,
    Day,
    Sunset,
    Dusk,
    Night,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Cloudy,
    Fog,
    Rain,
    Snow,
    Storm,
    Aurora,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Watercolour,
    Ink,
    Pixel,
    Neon,
    Minimal,
    Oil,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sense {
    Scene(Scene),
    Subject(Subject),
    Time(Time),
    Weather(Weather),
    Style(Style),
    Colour(Rgb),
    /// A place of the kind that has tall glowing towers.
    Futuristic,
    /// Known and without consequence; keeps shorter words inside it from matching.
    Nothing,
}

/// All that was understood, in the order of the prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) scenes: Vec<Scene>,
    pub(crate) subjects: Vec<(Subject, Option<Rgb>)>,
    pub(crate) time: Option<Time>,
    pub(crate) weather: Vec<Weather>,
    pub(crate) styles: Vec<Style>,
    /// Colours that do not belong to a subject.
    pub(crate) colours: Vec<Rgb>,
    pub(crate) futuristic: bool,
}

impl Reading {
    pub(crate) fn of(prompt: &str) -> Self {
        let hits = find(prompt);
        let mut reading = Self::default();
        for (index, hit) in hits.iter().enumerate() {
            match hit.sense {
                Sense::Scene(scene) if !reading.scenes.contains(&scene) => reading.scenes.push(scene),
                Sense::Subject(subject) => reading.subject(subject, colour_before(&hits, index)),
                Sense::Time(time) => reading.time = reading.time.or(Some(time)),
                Sense::Weather(weather) => reading.weather.push(weather),
                Sense::Style(style) => reading.styles.push(style),
                Sense::Colour(colour) if !owned_by_subject(&hits, index) => reading.colours.push(colour),
                Sense::Futuristic => reading.futuristic = true,
                Sense::Scene(_) | Sense::Colour(_) | Sense::Nothing => {}
            }
        }
        reading
    }

    pub(crate) fn has(&self, subject: Subject) -> bool {
        self.subjects.iter().any(|(known, _)| *known == subject)
    }

    pub(crate) fn style(&self, style: Style) -> bool {
        self.styles.contains(&style)
    }

    pub(crate) fn sky_has(&self, weather: Weather) -> bool {
        self.weather.contains(&weather)
    }

    fn subject(&mut self, subject: Subject, colour: Option<Rgb>) {
        if !self.has(subject) {
            self.subjects.push((subject, colour));
        }
    }
}

#[derive(Debug)]
struct Hit {
    start: usize,
    end: usize,
    chinese: bool,
    sense: Sense,
}

/// Longest words first, each taking its letters with it: 日落 is a sunset and no sun, 上海 no sea.
fn find(prompt: &str) -> Vec<Hit> {
    let mut text: Vec<char> =
        prompt.to_lowercase().chars().map(|letter| if letter == '-' { ' ' } else { letter }).collect();
    let mut entries: Vec<(Vec<char>, Sense)> = words::TABLE
        .iter()
        .flat_map(|(words, sense)| words.split(',').map(|word| (word.trim().chars().collect(), *sense)))
        .collect();
    // Chinese words are short and never inside English ones, so one order serves both.
    entries.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let mut hits = Vec::new();
    for (word, sense) in entries {
        let chinese = word.first().is_some_and(|letter| !letter.is_ascii());
        let mut start = 0;
        while start + word.len() <= text.len() {
            let end = start + word.len();
            if text[start..end] == word[..] && (chinese || stands_alone(&text, start, end)) {
                text[start..end].fill('\0');
                hits.push(Hit { start, end, chinese, sense });
                start = end;
            } else {
                start += 1;
            }
        }
    }
    hits.sort_by_key(|hit| hit.start);
    hits
}

/// Whether the letters are a whole English word, perhaps in the plural.
fn stands_alone(text: &[char], start: usize, end: usize) -> bool {
    let open = start == 0 || !text[start - 1].is_ascii_alphanumeric();
    let rest: String = text[end..].iter().take_while(|letter| letter.is_ascii_alphanumeric()).collect();
    open && matches!(rest.as_str(), "" | "s" | "es" | "y")
}

/// A colour belongs to the next subject when only a word or two stand between: "a red vintage car", 红色的小汽车.
fn belongs(colour: &Hit, subject: &Hit) -> bool {
    let reach = if colour.chinese { 4 } else { 18 };
    matches!(subject.sense, Sense::Subject(_)) && subject.start >= colour.end && subject.start - colour.end <= reach
}

fn colour_before(hits: &[Hit], subject: usize) -> Option<Rgb> {
    let hit = hits[..subject].last()?;
    match hit.sense {
        Sense::Colour(colour) if belongs(hit, &hits[subject]) => Some(colour),
        Sense::Colour(_)
        | Sense::Scene(_)
        | Sense::Subject(_)
        | Sense::Time(_)
        | Sense::Weather(_)
        | Sense::Style(_)
        | Sense::Futuristic
        | Sense::Nothing => None,
    }
}

fn owned_by_subject(hits: &[Hit], colour: usize) -> bool {
    hits.get(colour + 1).is_some_and(|next| belongs(&hits[colour], next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_words_hide_the_shorter_ones_inside() {
        assert_eq!(Reading::of("上海").scenes, [Scene::City]);
        assert_eq!(Reading::of("日落").time, Some(Time::Sunset));
        assert!(Reading::of("a scattered catalogue").subjects.is_empty());
    }

    #[test]
    fn a_colour_before_a_subject_is_the_subjects() {
        for prompt in ["a red vintage car on a desert road", "沙漠公路上的红色老爷车"] {
            let reading = Reading::of(prompt);
            assert_eq!(reading.scenes.first(), Some(&Scene::Desert), "{prompt}");
            assert!(matches!(reading.subjects[..], [(Subject::Car, Some(_))]), "{prompt}: {reading:?}");
            assert!(reading.colours.is_empty());
        }
    }

    #[test]
    fn chinese_and_english_read_alike() {
        let pairs = [
            ("a sunset over mountains", "山间的日落"),
            ("a cute cat by a window", "窗边可爱的猫"),
            ("a lighthouse by the sea at night", "海边的灯塔 夜晚"),
            ("cherry blossoms by a pagoda at dusk", "黄昏 宝塔旁的樱花"),
        ];
        for (english, chinese) in pairs {
            let (a, b) = (Reading::of(english), Reading::of(chinese));
            assert_eq!(a.time, b.time, "{chinese}");
            for (subject, _) in &a.subjects {
                assert!(b.has(*subject), "{chinese}: {subject:?}");
            }
            for scene in &a.scenes {
                assert!(b.scenes.contains(scene), "{chinese}: {scene:?}");
            }
        }
    }
}
