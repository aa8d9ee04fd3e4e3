//! From the words of a prompt, English or Chinese, to camera moves.

use Direction::{Down, In, Left, Out, Right, Up};

/// Where a move goes. Directions are the camera's: after a pan to the right one sees more of the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards the left edge.
    Left,
    /// Towards the right edge.
    Right,
    /// Towards the upper edge.
    Up,
    /// Towards the lower edge.
    Down,
    /// Closer.
    In,
    /// Further away.
    Out,
}

/// How much the camera moves in a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pace {
    /// Half the way.
    Slow,
    /// As a person would do it without thinking.
    #[default]
    Normal,
    /// Nearly twice the way.
    Fast,
}

/// The moves of one clip; several may go on at once. Each direction field holds only directions of its own axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Motion {
    /// Left or right.
    pub pan: Option<Direction>,
    /// Up or down.
    pub tilt: Option<Direction>,
    /// In or out.
    pub zoom: Option<Direction>,
    /// The zoom is the camera travelling: it goes deeper.
    pub dolly: bool,
    /// A sway around the subject that sets out to the left or right.
    pub orbit: Option<Direction>,
    /// An unsteady hand.
    pub handheld: bool,
    /// No move but a breath.
    pub still: bool,
    /// How far all of it goes.
    pub pace: Pace,
}

/// Moves named by one word, each with the word stems that name it. A stem matches its whole word and the endings in
/// [`ENDINGS`].
#[derive(Clone, Copy, PartialEq)]
enum Verb {
    /// Left and right, up and down; to the right when the prompt does not say.
    Pan,
    Tilt,
    Zoom,
    Dolly,
    /// Moves only with a direction: "the stars move" says nothing about the camera.
    Travel,
    Orbit,
    Handheld,
}

const VERBS: &[(Verb, &[&str])] = &[
    (Verb::Pan, &["pan", "truck", "slide"]),
    (Verb::Tilt, &["tilt"]),
    (Verb::Zoom, &["zoom"]),
    (Verb::Dolly, &["dolly"]),
    (Verb::Travel, &["move", "push", "pull", "glide", "drift", "crane", "pedestal", "track", "camera", "fly"]),
    (Verb::Orbit, &["orbit", "circle", "arc", "revolve"]),
    (Verb::Handheld, &["shake", "handheld", "jitter", "wobble"]),
];
const ENDINGS: &[&str] = &["", "s", "es", "ed", "ing", "ning", "ned", "y"];

const DIRECTIONS: &[(Direction, &[&str])] = &[
    (Left, &["left", "leftward", "leftwards"]),
    (Right, &["right", "rightward", "rightwards"]),
    (Up, &["up", "upward", "upwards"]),
    (Down, &["down", "downward", "downwards"]),
    (In, &["in", "into", "inward", "inwards", "forward", "forwards", "closer", "toward", "towards"]),
    (Out, &["out", "outward", "outwards", "back", "backward", "backwards", "away"]),
];
/// How many words after (and before) a move its direction may stand. On one axis the last counts: "from left to right".
const REACH_AFTER: usize = 5;
const REACH_BEFORE: usize = 1;

const SLOW: &[&str] = &["slow", "slowly", "gentle", "gently", "subtle", "subtly", "calm", "calmly", "soft", "softly"];
const FAST: &[&str] = &["fast", "quick", "quickly", "rapid", "rapidly", "swift", "swiftly", "whip", "dramatic"];
const STILL: &[&str] = &["static", "still", "stationary", "motionless", "fixed", "locked", "tripod"];
const NEGATIONS: &[&str] = &["no", "not", "without", "never", "dont", "don't"];

/// Chinese terms, longest reading first within a line: the set phrases of film crews and of prompt guides.
const HAN: &[(&[&str], Sense)] = &[
    (&["向左", "左移", "左摇", "往左", "朝左"], Sense::Go(Left)),
    (&["向右", "右移", "右摇", "往右", "朝右"], Sense::Go(Right)),
    (&["向上", "上摇", "上移", "往上", "仰拍", "上升", "升镜头", "抬升"], Sense::Go(Up)),
    (&["向下", "下摇", "下移", "往下", "俯拍", "下降", "降镜头"], Sense::Go(Down)),
    (&["推近", "推进", "推入", "推镜", "向前", "前推"], Sense::Dolly(In)),
    (&["拉远", "拉出", "拉镜", "后拉", "后退", "向后"], Sense::Dolly(Out)),
    (&["拉近", "放大", "变焦", "特写推"], Sense::Go(In)),
    (&["缩小"], Sense::Go(Out)),
    (&["平移", "摇镜", "移镜", "横移", "摇摄"], Sense::Pan),
    (&["环绕", "绕拍", "围绕", "旋转", "盘旋"], Sense::Orbit),
    (&["手持", "抖动", "晃动", "摇晃"], Sense::Handheld),
    (&["静止", "固定", "不动", "静态"], Sense::Still),
    (&["缓慢", "缓缓", "慢慢", "慢速", "轻柔", "柔和", "轻轻"], Sense::Pace(Pace::Slow)),
    (&["快速", "迅速", "急速", "飞快", "急推"], Sense::Pace(Pace::Fast)),
];

#[derive(Clone, Copy)]
enum Sense {
    Go(Direction),
    Dolly(Direction),
    Pan,
    Orbit,
    Handheld,
    Still,
    Pace(Pace),
}

impl Motion {
    /// Reads the moves out of a prompt. Where it names none, the seed picks a gentle one: a slow zoom that drifts to one
    /// side.
    pub fn from_prompt(prompt: &str, seed: u64) -> Self {
        let lower = prompt.to_lowercase().replace('’', "'").replace("hand-held", "handheld");
        let mut motion = Self::default();
        motion.read_english(&lower, seed);
        motion.read_chinese(&lower, seed);
        if motion.moves() {
            motion.still = false;
        } else if !motion.still {
            let pace = if motion.pace == Pace::Fast { Pace::Normal } else { Pace::Slow };
            return Self { pace, ..Self::ken_burns(seed) };
        }
        motion
    }

    fn read_english(&mut self, lower: &str, seed: u64) {
        let words: Vec<&str> =
            lower.split(|c: char| !c.is_ascii_alphanumeric() && c != '\'').filter(|word| !word.is_empty()).collect();
        for (at, word) in words.iter().enumerate() {
            let negated = words[at.saturating_sub(2)..at].iter().any(|word| NEGATIONS.contains(word));
            if let Some(verb) = verb(word) {
                if negated {
                    self.still |= verb == Verb::Travel;
                } else {
                    self.add(verb, &directions(&words, at), seed);
                }
            }
            self.still |= STILL.contains(word) || (negated && ["movement", "motion"].contains(word));
            if SLOW.contains(word) {
                self.pace = Pace::Slow;
            } else if FAST.contains(word) {
                self.pace = Pace::Fast;
            }
        }
    }

    fn add(&mut self, verb: Verb, ways: &[Direction], seed: u64) {
        match verb {
            Verb::Orbit => self.orbit = Some(sideways(ways).unwrap_or_else(|| side(seed))),
            Verb::Handheld => self.handheld = true,
            Verb::Zoom | Verb::Dolly if ways.is_empty() => self.go(In),
            Verb::Pan if ways.is_empty() => self.go(Right),
            Verb::Tilt if ways.is_empty() => self.go(Up),
            Verb::Pan | Verb::Tilt | Verb::Zoom | Verb::Dolly | Verb::Travel => {
                for &way in ways {
                    self.go(way);
                }
            }
        }
        self.dolly |= verb == Verb::Dolly || (verb == Verb::Travel && (ways.contains(&In) || ways.contains(&Out)));
    }

    fn read_chinese(&mut self, text: &str, seed: u64) {
        let mut pan_somewhere = false;
        for (terms, sense) in HAN {
            if !terms.iter().any(|term| text.contains(term)) {
                continue;
            }
            match *sense {
                Sense::Go(way) => self.go(way),
                Sense::Dolly(way) => {
                    self.go(way);
                    self.dolly = true;
                }
                Sense::Pan => pan_somewhere = true,
                Sense::Orbit => self.orbit = Some(self.pan.take().unwrap_or_else(|| side(seed))),
                Sense::Handheld => self.handheld = true,
                Sense::Still => self.still = true,
                Sense::Pace(pace) => self.pace = pace,
            }
        }
        if pan_somewhere && self.pan.is_none() && self.tilt.is_none() {
            self.go(Right);
        }
    }

    fn go(&mut self, way: Direction) {
        match way {
            Left | Right => self.pan = Some(way),
            Up | Down => self.tilt = Some(way),
            In | Out => self.zoom = Some(way),
        }
    }

    fn moves(self) -> bool {
        self.pan.is_some() || self.tilt.is_some() || self.zoom.is_some() || self.orbit.is_some() || self.handheld
    }

    fn ken_burns(seed: u64) -> Self {
        // Neighbouring seeds differ in their low bits only; spread them.
        let mixed = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bit = |at: u32| mixed >> at & 1 == 1;
        Self {
            zoom: Some(if bit(63) { In } else { Out }),
            pan: Some(if bit(62) { Left } else { Right }),
            tilt: bit(61).then_some(if bit(60) { Up } else { Down }),
            ..Self::default()
        }
    }
}

fn side(seed: u64) -> Direction {
    if seed.is_multiple_of(2) { Right } else { Left }
}

fn sideways(ways: &[Direction]) -> Option<Direction> {
    ways.iter().copied().find(|way| matches!(way, Left | Right))
}

fn verb(word: &str) -> Option<Verb> {
    let names = |stem: &str| {
        // "circling", "sliding", "shaky" lose the stem's e.
        let short = stem.strip_suffix('e').unwrap_or(stem);
        word.strip_prefix(stem).is_some_and(|ending| ENDINGS.contains(&ending))
            || (short != stem && word.strip_prefix(short).is_some_and(|ending| ["ing", "y"].contains(&ending)))
    };
    VERBS.iter().find(|(_, stems)| stems.iter().any(|stem| names(stem))).map(|(verb, _)| *verb)
}

/// The directions that belong to the move at `at`: those that follow it, up to the next move, or else the one before it.
fn directions(words: &[&str], at: usize) -> Vec<Direction> {
    let direction = |word: &&str| DIRECTIONS.iter().find(|(_, names)| names.contains(word)).map(|(way, _)| *way);
    let after = &words[at + 1..words.len().min(at + 1 + REACH_AFTER)];
    let mut ways: Vec<Direction> = after.iter().take_while(|word| verb(word).is_none()).filter_map(direction).collect();
    if ways.is_empty() {
        ways.extend(words[at.saturating_sub(REACH_BEFORE)..at].iter().filter_map(direction));
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prompt: &str) -> Motion {
        Motion::from_prompt(prompt, 0)
    }

    const REST: Motion = Motion {
        pan: None,
        tilt: None,
        zoom: None,
        dolly: false,
        orbit: None,
        handheld: false,
        still: false,
        pace: Pace::Normal,
    };

    #[test]
    fn every_english_move_is_understood() {
        let cases = [
            ("pan left over the bay", Motion { pan: Some(Left), ..REST }),
            ("Camera pans to the RIGHT.", Motion { pan: Some(Right), ..REST }),
            ("panning shot", Motion { pan: Some(Right), ..REST }),
            ("a leftward pan", Motion { pan: Some(Left), ..REST }),
            ("pan slowly from right to left", Motion { pan: Some(Left), pace: Pace::Slow, ..REST }),
            ("pan up", Motion { tilt: Some(Up), ..REST }),
            ("tilt down", Motion { tilt: Some(Down), ..REST }),
            ("zoom", Motion { zoom: Some(In), ..REST }),
            ("zooming out", Motion { zoom: Some(Out), ..REST }),
            ("dolly in", Motion { zoom: Some(In), dolly: true, ..REST }),
            ("dolly back from the door", Motion { zoom: Some(Out), dolly: true, ..REST }),
            ("the camera pushes in", Motion { zoom: Some(In), dolly: true, ..REST }),
            ("pull away", Motion { zoom: Some(Out), dolly: true, ..REST }),
            ("crane up", Motion { tilt: Some(Up), ..REST }),
            ("orbit around the statue", Motion { orbit: Some(Right), ..REST }),
            ("circling left", Motion { orbit: Some(Left), ..REST }),
            ("an arc shot", Motion { orbit: Some(Right), ..REST }),
            ("shaky hand-held camera", Motion { handheld: true, ..REST }),
            ("a static shot", Motion { still: true, ..REST }),
            ("no camera movement", Motion { still: true, ..REST }),
        ];
        for (prompt, expected) in cases {
            assert_eq!(read(prompt), expected, "{prompt:?}");
        }
    }

    #[test]
    fn moves_combine_with_each_other_and_with_a_pace() {
        assert_eq!(
            read("slow pan left and zoom in"),
            Motion { pan: Some(Left), zoom: Some(In), pace: Pace::Slow, ..REST }
        );
        assert_eq!(
            read("fast tilt up, then zoom out, handheld"),
            Motion { tilt: Some(Up), zoom: Some(Out), handheld: true, pace: Pace::Fast, ..REST }
        );
        assert_eq!(read("still water, gentle pan right"), Motion { pan: Some(Right), pace: Pace::Slow, ..REST });
    }

    #[test]
    fn every_chinese_move_is_understood() {
        let cases = [
            ("镜头缓慢向左平移", Motion { pan: Some(Left), pace: Pace::Slow, ..REST }),
            ("向右摇镜头", Motion { pan: Some(Right), ..REST }),
            ("镜头平移", Motion { pan: Some(Right), ..REST }),
            ("镜头向上移动", Motion { tilt: Some(Up), ..REST }),
            ("画面下摇", Motion { tilt: Some(Down), ..REST }),
            ("镜头拉近人物", Motion { zoom: Some(In), ..REST }),
            ("快速推进", Motion { zoom: Some(In), dolly: true, pace: Pace::Fast, ..REST }),
            ("镜头慢慢拉远", Motion { zoom: Some(Out), dolly: true, pace: Pace::Slow, ..REST }),
            ("环绕拍摄", Motion { orbit: Some(Right), ..REST }),
            ("手持摄影", Motion { handheld: true, ..REST }),
            ("固定镜头", Motion { still: true, ..REST }),
        ];
        for (prompt, expected) in cases {
            assert_eq!(read(prompt), expected, "{prompt:?}");
        }
    }

    #[test]
    fn a_prompt_without_a_move_gets_a_gentle_one_from_its_seed() {
        let drawn: std::collections::HashSet<Motion> =
            (0..40).map(|seed| Motion::from_prompt("a cat on a red sofa", seed)).collect();
        assert!(drawn.len() >= 6, "{drawn:?}");
        assert!(drawn.iter().all(|motion| motion.zoom.is_some() && motion.pan.is_some() && motion.pace == Pace::Slow));
        assert_eq!(read("a cat"), read("a cat"));
    }

    #[test]
    fn a_refused_move_is_not_made() {
        assert_eq!(read("pan left, no zoom"), Motion { pan: Some(Left), ..REST });
        assert_eq!(read("static, don't zoom in"), Motion { still: true, ..REST });
    }

    #[test]
    fn directions_without_a_move_mean_nothing() {
        let plain = read("a cat on a sofa");
        assert_eq!(read("the cat on the left looks up at the stars"), plain);
        assert_eq!(read("the stars move"), plain);
    }
}
