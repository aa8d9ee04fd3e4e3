//! The limits of the families of Seedance models, as data.

use std::ops::RangeInclusive;

use crate::{config::SeedanceResolution, size::Size};

/// The aspect ratios, in the order of the columns of [`Grid`]. Each but the square and the widest one has its mirror image.
const RATIOS: [&str; 6] = ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9"];

/// The sizes of one family by resolution: 16:9, 4:3, 1:1 and 21:9. The portrait sizes are their mirror images.
type Grid = [(SeedanceResolution, [Size; 4])];

/// A family of models.
#[derive(Debug, PartialEq)]
pub(super) struct Family {
    /// A part of the names of its models, in lower case and with hyphens.
    name: &'static str,
    /// The durations, in seconds.
    seconds: RangeInclusive<u32>,
    /// The highest resolution.
    max: SeedanceResolution,
    grid: &'static Grid,
}

/// The output that is requested for a size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) resolution: SeedanceResolution,
    pub(super) ratio: &'static str,
}

const GRID_1: &Grid = &[
    (SeedanceResolution::P480, [Size::new(864, 480), Size::new(736, 544), Size::new(640, 640), Size::new(960, 416)]),
    (SeedanceResolution::P720, [Size::new(1248, 704), Size::new(1120, 832), Size::new(960, 960), Size::new(1504, 640)]),
    (
        SeedanceResolution::P1080,
        [Size::new(1920, 1088), Size::new(1664, 1248), Size::new(1440, 1440), Size::new(2176, 928)],
    ),
];

const GRID_2: &Grid = &[
    (SeedanceResolution::P480, [Size::new(864, 496), Size::new(752, 560), Size::new(640, 640), Size::new(992, 432)]),
    (SeedanceResolution::P720, [Size::new(1280, 720), Size::new(1112, 834), Size::new(960, 960), Size::new(1470, 630)]),
    (
        SeedanceResolution::P1080,
        [Size::new(1920, 1080), Size::new(1664, 1248), Size::new(1440, 1440), Size::new(2206, 946)],
    ),
    (
        SeedanceResolution::Uhd,
        [Size::new(3840, 2160), Size::new(3328, 2496), Size::new(2880, 2880), Size::new(4412, 1892)],
    ),
];

/// The first one whose name a model's name contains applies.
const FAMILIES: [Family; 7] = [
    Family { name: "seedance-1-0-lite-i2v", seconds: 2..=12, max: SeedanceResolution::P720, grid: GRID_1 },
    Family { name: "seedance-1-0", seconds: 2..=12, max: SeedanceResolution::P1080, grid: GRID_1 },
    Family { name: "seedance-1-5", seconds: 4..=12, max: SeedanceResolution::P1080, grid: GRID_1 },
    Family { name: "seedance-2-0-fast", seconds: 4..=15, max: SeedanceResolution::P720, grid: GRID_2 },
    Family { name: "seedance-2-0-mini", seconds: 4..=15, max: SeedanceResolution::P720, grid: GRID_2 },
    Family { name: "seedance-2-0", seconds: 4..=15, max: SeedanceResolution::Uhd, grid: GRID_2 },
    Family { name: "seedance-2-5", seconds: 4..=30, max: SeedanceResolution::P1080, grid: GRID_2 },
];

/// What all families have in common, for names without the family: endpoints (`ep-...`).
const COMMON: Family = Family { name: "", seconds: 4..=12, max: SeedanceResolution::P720, grid: GRID_2 };

impl Family {
    /// Returns the family of a model by its name: `doubao-seedance-1-5-pro-251215`, `dreamina-seedance-2.0-260128`.
    pub(super) fn of(model: &str) -> &'static Self {
        let model = model.to_ascii_lowercase().replace('.', "-");
        FAMILIES.iter().find(|family| model.contains(family.name)).unwrap_or(&COMMON)
    }

    /// Returns the nearest duration, in seconds.
    pub(super) fn seconds(&self, requested: u32) -> u32 {
        requested.clamp(*self.seconds.start(), *self.seconds.end())
    }

    /// Returns the output whose aspect ratio and then whose area is nearest to a size. Resolutions above `limit` are left out.
    pub(super) fn output(&self, size: Size, limit: SeedanceResolution) -> Output {
        let limit = limit.min(self.max);
        let rows = || self.grid.iter().filter(move |(resolution, _)| *resolution <= limit);
        let ratio_distance = |index: &usize| {
            rows().map(|(_, sizes)| distance(ratio(size), ratio(at(sizes, *index)))).fold(f64::INFINITY, f64::min)
        };
        let index =
            (0..RATIOS.len()).min_by(|a, b| ratio_distance(a).total_cmp(&ratio_distance(b))).unwrap_or_default();
        let area_distance = |sizes: &[Size; 4]| distance(area(size), area(at(sizes, index)));
        let nearest = rows().min_by(|(_, a), (_, b)| area_distance(a).total_cmp(&area_distance(b)));
        Output {
            resolution: nearest.map_or(SeedanceResolution::P480, |(resolution, _)| *resolution),
            ratio: RATIOS[index],
        }
    }
}

/// Returns the size in the column of a ratio.
fn at(sizes: &[Size; 4], ratio: usize) -> Size {
    let [wide, standard, square, cinema] = *sizes;
    let mirrored = |Size { width, height }: Size| Size::new(height, width);
    match RATIOS[ratio] {
        "16:9" => wide,
        "4:3" => standard,
        "3:4" => mirrored(standard),
        "9:16" => mirrored(wide),
        "21:9" => cinema,
        _ => square,
    }
}

fn ratio(size: Size) -> f64 {
    f64::from(size.width) / f64::from(size.height)
}

fn area(size: Size) -> f64 {
    f64::from(size.width) * f64::from(size.height)
}

/// Returns the distance of two quantities on a logarithmic scale.
fn distance(a: f64, b: f64) -> f64 {
    (a / b).ln().abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(model: &str, size: &str, limit: SeedanceResolution) -> String {
        let Output { resolution, ratio } = Family::of(model).output(size.parse().unwrap(), limit);
        format!("{resolution:?} {ratio}")
    }

    #[test]
    fn nearest_ratio_and_resolution_are_chosen_within_family_and_limit() {
        use SeedanceResolution::{P480, P720, P1080, Uhd};
        for (model, size, limit, expected) in [
            ("doubao-seedance-1-5-pro-251215", "1920x1080", P1080, "P1080 16:9"),
            ("doubao-seedance-1-5-pro-251215", "1920x1080", P720, "P720 16:9"),
            ("doubao-seedance-1-0-lite-i2v-250428", "1920x1080", Uhd, "P720 16:9"),
            ("doubao-seedance-1-0-pro-250528", "3840x2160", Uhd, "P1080 16:9"),
            ("doubao-seedance-2-0-260128", "3840x2160", Uhd, "Uhd 16:9"),
            ("doubao-seedance-2-0-fast-260128", "3840x2160", Uhd, "P720 16:9"),
            ("dreamina-seedance-2.0-260128", "720x1280", P1080, "P720 9:16"),
            ("doubao-seedance-2-5-260628", "854x480", P1080, "P480 16:9"),
            ("ep-20261127", "1024x1024", P1080, "P720 1:1"),
            ("ep-20261127", "1024x768", P480, "P480 4:3"),
            ("ep-20261127", "768x1024", P1080, "P720 3:4"),
            ("ep-20261127", "3840x1644", P1080, "P720 21:9"),
            ("ep-20261127", "64x64", P1080, "P480 1:1"),
        ] {
            assert_eq!(output(model, size, limit), expected, "{model} {size} {limit:?}");
        }
    }

    #[test]
    fn duration_is_the_nearest_of_the_family() {
        for (model, requested, seconds) in [
            ("doubao-seedance-1-0-pro-250528", 1, 2),
            ("doubao-seedance-1-5-pro-251215", 2, 4),
            ("doubao-seedance-1-5-pro-251215", 5, 5),
            ("doubao-seedance-2-0-mini-260615", 60, 15),
            ("Doubao-Seedance-2.5-260628", 60, 30),
            ("ep-1", 60, 12),
        ] {
            assert_eq!(Family::of(model).seconds(requested), seconds, "{model}");
        }
    }
}
