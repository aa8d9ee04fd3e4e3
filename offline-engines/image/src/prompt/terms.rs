//! The things that the image engine can draw: the meanings of the words that it recognizes in a prompt.

use crate::colour::Rgb;

/// The background of the image.
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
    Mars,
    Underwater,
    Abstract,
}

/// An object in front of the background.
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

/// Time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    Dawn,
    Day,
    Sunset,
    Dusk,
    Night,
}

/// Weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Cloudy,
    Fog,
    Rain,
    Snow,
    Storm,
    Aurora,
}

/// Drawing style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Watercolour,
    Ink,
    Pixel,
    Neon,
    Minimal,
    Oil,
}

/// The meaning of a known word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meaning {
    Scene(Scene),
    Subject(Subject),
    Time(Time),
    Weather(Weather),
    Style(Style),
    Colour(Rgb),
    /// Adds tall, glowing towers to a city.
    Futuristic,
    /// A subject that cannot be drawn. Prevents shorter words within this one from matching.
    Unknown,
    /// No effect. Prevents shorter words within this one from matching.
    Ignored,
}
