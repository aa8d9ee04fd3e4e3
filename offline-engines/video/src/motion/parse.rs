//! Finds camera moves in a prompt.

use super::types::Direction::{self, Down, In, Left, Out, Right, Up};
use super::types::{Motion, Pace};
use super::words::{
    CAMERA, CHINESE_TERMS, DETERMINERS, DIRECTIONS, ENDINGS, FAST, Meaning, NEGATION_REACH, NEGATIONS, REACH_AFTER,
    REACH_BEFORE, SLOW, STILL, VERBS, Verb,
};

impl Motion {
    /// Finds the camera moves that a prompt names. If it names none, the seed selects a slow zoom with a drift to one side.
    pub fn from_prompt(prompt: &str, seed: u64) -> Self {
        let lower = prompt.to_lowercase().replace('’', "'").replace("hand-held", "handheld");
        let mut motion = Self::default();
        motion.parse_english(&lower, seed);
        motion.parse_chinese(&lower, seed);
        if motion.has_move() {
            motion.still = false;
        } else if !motion.still {
            // A drift that the prompt did not ask for is never fast.
            let pace = if motion.pace == Pace::Fast { Pace::Normal } else { Pace::Slow };
            return Self { pace, ..Self::ken_burns(seed) };
        }
        motion
    }

    fn parse_english(&mut self, lower: &str, seed: u64) {
        let words: Vec<&str> =
            lower.split(|c: char| !c.is_ascii_alphanumeric() && c != '\'').filter(|word| !word.is_empty()).collect();
        for (at, word) in words.iter().enumerate() {
            let negated = words[at.saturating_sub(NEGATION_REACH)..at].iter().any(|word| NEGATIONS.contains(word));
            if let Some(verb) = verb_at(&words, at) {
                if negated {
                    self.still |= verb == Verb::Travel;
                } else {
                    self.add(verb, &directions_of(&words, at), seed);
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

    /// Adds a move in the given directions, or in its default direction.
    fn add(&mut self, verb: Verb, directions: &[Direction], seed: u64) {
        match verb {
            Verb::Orbit => self.orbit = Some(horizontal(directions).unwrap_or_else(|| orbit_side(seed))),
            Verb::Handheld => self.handheld = true,
            Verb::Zoom | Verb::Dolly if directions.is_empty() => self.set_direction(In),
            Verb::Pan if directions.is_empty() => self.set_direction(Right),
            Verb::Tilt if directions.is_empty() => self.set_direction(Up),
            Verb::Pan | Verb::Tilt | Verb::Zoom | Verb::Dolly | Verb::Travel => {
                for &direction in directions {
                    self.set_direction(direction);
                }
            }
        }
        self.dolly |=
            verb == Verb::Dolly || (verb == Verb::Travel && (directions.contains(&In) || directions.contains(&Out)));
    }

    /// Searches the text for terms; Chinese does not separate words.
    fn parse_chinese(&mut self, text: &str, seed: u64) {
        let mut pan_without_direction = false;
        for (terms, meaning) in CHINESE_TERMS {
            if !terms.iter().any(|term| text.contains(term)) {
                continue;
            }
            match *meaning {
                Meaning::Go(direction) => self.set_direction(direction),
                Meaning::Dolly(direction) => {
                    self.set_direction(direction);
                    self.dolly = true;
                }
                Meaning::Pan => pan_without_direction = true,
                Meaning::Orbit => self.orbit = Some(self.pan.take().unwrap_or_else(|| orbit_side(seed))),
                Meaning::Handheld => self.handheld = true,
                Meaning::Still => self.still = true,
                Meaning::Pace(pace) => self.pace = pace,
            }
        }
        if pan_without_direction && self.pan.is_none() && self.tilt.is_none() {
            self.set_direction(Right);
        }
    }

    /// Sets the direction of the move along its axis.
    fn set_direction(&mut self, direction: Direction) {
        match direction {
            Left | Right => self.pan = Some(direction),
            Up | Down => self.tilt = Some(direction),
            In | Out => self.zoom = Some(direction),
        }
    }

    fn has_move(self) -> bool {
        self.pan.is_some() || self.tilt.is_some() || self.zoom.is_some() || self.orbit.is_some() || self.handheld
    }

    /// Returns a zoom with a drift: the Ken Burns effect.
    fn ken_burns(seed: u64) -> Self {
        // Similar seeds differ in their low bits only; the multiplication (by 2^64 divided by the golden ratio, as in Fibonacci
        // hashing) propagates them to the high bits.
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

/// Returns the side on which an orbit starts if the prompt names none.
fn orbit_side(seed: u64) -> Direction {
    if seed.is_multiple_of(2) { Right } else { Left }
}

fn horizontal(directions: &[Direction]) -> Option<Direction> {
    directions.iter().copied().find(|direction| matches!(direction, Left | Right))
}

/// Returns the verb that a word is a form of.
fn verb(word: &str) -> Option<Verb> {
    let matches_stem = |stem: &str| {
        // "circling", "sliding" and "shaky" drop the final e of the stem.
        let without_e = stem.strip_suffix('e').unwrap_or(stem);
        word.strip_prefix(stem).is_some_and(|ending| ENDINGS.contains(&ending))
            || (without_e != stem && word.strip_prefix(without_e).is_some_and(|ending| ["ing", "y"].contains(&ending)))
    };
    VERBS.iter().find(|(_, stems)| stems.iter().any(|stem| matches_stem(stem))).map(|(verb, _)| *verb)
}

/// Returns the verb at `at`; `None` for a word that is no verb, and for a camera that is the object of a verb: "zoom the camera".
fn verb_at(words: &[&str], at: usize) -> Option<Verb> {
    let found = verb(words[at])?;
    let is_object = words[at] == CAMERA && {
        let before = words[..at].iter().rfind(|word| !DETERMINERS.contains(word));
        // Handheld takes no object: a handheld camera may move in any direction.
        before.is_some_and(|word| *word != CAMERA && verb(word).is_some_and(|verb| verb != Verb::Handheld))
    };
    (!is_object).then_some(found)
}

/// Returns the directions of the verb at `at`: those after it, up to the next verb, or else the one before it.
fn directions_of(words: &[&str], at: usize) -> Vec<Direction> {
    let direction =
        |word: &&str| DIRECTIONS.iter().find(|(_, names)| names.contains(word)).map(|(direction, _)| *direction);
    let after = at + 1..words.len().min(at + 1 + REACH_AFTER);
    let mut directions: Vec<Direction> =
        after.take_while(|&next| verb_at(words, next).is_none()).filter_map(|next| direction(&words[next])).collect();
    if directions.is_empty() {
        directions.extend(words[at.saturating_sub(REACH_BEFORE)..at].iter().filter_map(direction));
    }
    directions
}
