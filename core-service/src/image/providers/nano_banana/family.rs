//! Which sizes and inputs the generations of Gemini's image models know.

use super::super::super::{Background, Edits, ImageSpec, Ratio, closest};
use crate::{error::ProviderError, size::Size};

/// Above this many pixels, an event with the picture would pass the bound on events.
const LARGEST_STREAMED: u64 = 4_200_000;

/// Ratios and sizes of 2.5 Flash, which has no tiers.
#[rustfmt::skip]
const FLASH_2_5: [((u32, u32), (u32, u32)); 10] = [
    ((1, 1), (1024, 1024)), ((2, 3), (832, 1248)), ((3, 2), (1248, 832)), ((3, 4), (864, 1184)), ((4, 3), (1184, 864)),
    ((4, 5), (896, 1152)), ((5, 4), (1152, 896)), ((9, 16), (768, 1344)), ((16, 9), (1344, 768)), ((21, 9), (1536, 672)),
];

/// Ratios of the generation after, with their sizes in the lowest tier; each tier doubles the one below it.
#[rustfmt::skip]
const THREE: [((u32, u32), (u32, u32)); 10] = [
    ((1, 1), (512, 512)), ((2, 3), (424, 632)), ((3, 2), (632, 424)), ((3, 4), (448, 600)), ((4, 3), (600, 448)),
    ((4, 5), (464, 576)), ((5, 4), (576, 464)), ((9, 16), (384, 688)), ((16, 9), (688, 384)), ((21, 9), (792, 336)),
];

/// The narrow ones that 3.1 Flash knows besides.
const NARROW: [((u32, u32), (u32, u32)); 4] =
    [((1, 4), (256, 1024)), ((4, 1), (1024, 256)), ((1, 8), (192, 1536)), ((8, 1), (1536, 192))];

/// A generation of the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// 2.5 Flash: one size per ratio, few inputs.
    Flash25,
    /// 3.1 Flash and its successors: from half a tier up, and narrow ratios.
    Flash31,
    /// 3.1 Flash Lite: the 1K tier alone.
    Lite,
    /// 3 Pro, and whatever else there is: three tiers.
    Three,
}

/// How long the sides are, in the API's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Half,
    One,
    Two,
    Four,
}

/// How one request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// The ratio to ask for. `None`: the model's choice, in an edit the input's own.
    pub(super) ratio: Option<Ratio>,
    /// The tier to ask for, where one may be.
    pub(super) tier: Option<Tier>,
    /// Drafts to pass on; for any of them the answer is streamed.
    pub(super) previews: u32,
}

impl Family {
    /// The family of a model.
    pub(super) fn of(model: &str) -> Self {
        // Routers put the maker before the name: `google/gemini-3-pro-image`.
        let name = model.rsplit('/').next().unwrap_or(model);
        if name.starts_with("gemini-2.5-") {
            Self::Flash25
        } else if name.contains("-flash-lite") {
            Self::Lite
        } else if name.starts_with("gemini-3.1-flash") || name.contains("nano-banana-2") {
            Self::Flash31
        } else {
            Self::Three
        }
    }

    pub(super) fn edits(self) -> Edits {
        let pictures = match self {
            Self::Flash25 => 3,
            Self::Flash31 | Self::Lite | Self::Three => 14,
        };
        Edits { pictures, mask: false }
    }

    /// In the words of `Model.capabilities`.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::Flash25 => &["edit"],
            Self::Flash31 | Self::Lite | Self::Three => &["edit", "preview"],
        }
    }

    /// How this request is made.
    ///
    /// # Errors
    /// For what no model of these can do and nobody here can do for it.
    pub(super) fn plan(self, spec: &ImageSpec) -> Result<Plan, ProviderError> {
        let refused = |field: &str, message: String| Err(ProviderError::Refused { message, field: Some(field.into()) });
        if spec.background == Background::Transparent {
            return refused("background", "this model paints no transparent background".to_owned());
        }
        let last = |seed: i64| seed.checked_add(i64::from(spec.n)).and_then(|end| i32::try_from(end - 1).ok());
        if let Some(seed) = spec.seed
            && (i32::try_from(seed).is_err() || last(seed).is_none())
        {
            return refused("seed", format!("must be from {} to {} for this model", i32::MIN, i32::MAX));
        }
        let row = spec.size.and_then(|asked| closest(asked, self.rows(), |(_, _, size)| size));
        let high = spec.quality.is_high();
        let tier = match row {
            Some((_, tier, _)) => tier,
            // Only what differs from the model's own choice has to be told.
            None => high.then_some(Tier::One).filter(|_| self.tiers().contains(&Tier::Two)),
        };
        let tier = if high { tier.and_then(|tier| self.finer(tier)).or(tier) } else { tier };
        let pixels = row.map_or(0, |(_, asked, size)| {
            let doubled = if asked == tier { 1 } else { 4 };
            u64::from(size.width) * u64::from(size.height) * doubled
        });
        let drafts = self != Self::Flash25 && pixels <= LARGEST_STREAMED;
        let previews = if drafts { spec.partial_images } else { 0 };
        Ok(Plan { ratio: row.map(|(ratio, _, _)| ratio), tier, previews })
    }

    fn tiers(self) -> &'static [Tier] {
        match self {
            Self::Flash25 => &[],
            Self::Lite => &[Tier::One],
            Self::Flash31 => &[Tier::Half, Tier::One, Tier::Two, Tier::Four],
            Self::Three => &[Tier::One, Tier::Two, Tier::Four],
        }
    }

    /// The tier for more care: one above, though never the largest, which is for large pictures alone.
    fn finer(self, tier: Tier) -> Option<Tier> {
        let finer = match tier {
            Tier::Half => Tier::One,
            Tier::One | Tier::Two => Tier::Two,
            Tier::Four => Tier::Four,
        };
        self.tiers().iter().copied().find(|known| *known == finer)
    }

    /// Everything that can be asked for.
    fn rows(self) -> Vec<(Ratio, Option<Tier>, Size)> {
        let row = |((a, b), (width, height)): ((u32, u32), (u32, u32)), tier: Option<Tier>| {
            let times = tier.map_or(1, Tier::times);
            (Ratio::new(a, b), tier, Size::new(width * times, height * times))
        };
        let narrow: &[_] = if self == Self::Flash31 { &NARROW } else { &[] };
        match self {
            Self::Flash25 => FLASH_2_5.into_iter().map(|known| row(known, None)).collect(),
            Self::Flash31 | Self::Lite | Self::Three => {
                let ratios = THREE.iter().chain(narrow);
                ratios.flat_map(|known| self.tiers().iter().map(|tier| row(*known, Some(*tier)))).collect()
            }
        }
    }
}

impl Tier {
    /// Its word on the wire.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Half => "512",
            Self::One => "1K",
            Self::Two => "2K",
            Self::Four => "4K",
        }
    }

    const fn times(self) -> u32 {
        match self {
            Self::Half => 1,
            Self::One => 2,
            Self::Two => 4,
            Self::Four => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Quality, providers::tests::spec};

    fn asked(size: &str, quality: Quality) -> ImageSpec {
        ImageSpec { size: size.parse().ok(), quality, ..spec() }
    }

    #[test]
    fn every_size_becomes_the_closest_ratio_and_the_lowest_tier_that_covers_it() {
        let (flash, lite, pro, old) =
            ("gemini-3.1-flash-image", "gemini-3.1-flash-lite-image", "gemini-3-pro-image", "gemini-2.5-flash-image");
        #[rustfmt::skip]
        let table = [
            (pro, "1024x1024", "1:1 1K"), (pro, "256x256", "1:1 1K"), (pro, "1792x1024", "16:9 2K"), (pro, "1024x1792", "9:16 2K"),
            (pro, "1536x1024", "3:2 2K"), (pro, "1200x800", "3:2 1K"), (pro, "4096x4096", "1:1 4K"), (pro, "4096x512", "21:9 4K"),
            (flash, "512x512", "1:1 512"), (flash, "320x200", "3:2 512"), (flash, "1024x128", "8:1 512"), (flash, "1024x1024", "1:1 1K"),
            (lite, "512x512", "1:1 1K"), (lite, "1792x1024", "16:9 1K"), (old, "1024x1024", "1:1"), (old, "1792x1024", "16:9"),
            ("some/other-model", "512x512", "1:1 1K"), ("google/gemini-2.5-flash-image", "512x512", "1:1"),
        ];
        for (model, size, expected) in table {
            let plan = Family::of(model).plan(&asked(size, Quality::Auto)).unwrap();
            let tier = plan.tier.map_or_else(String::new, |tier| format!(" {}", tier.as_str()));
            assert_eq!(format!("{}{tier}", plan.ratio.unwrap()), expected, "{model} for {size}");
        }
    }

    #[test]
    fn more_care_is_a_tier_more_where_there_is_one_and_never_the_largest() {
        let tier =
            |model: &str, size: &str| Family::of(model).plan(&asked(size, Quality::Hd)).unwrap().tier.map(Tier::as_str);
        for (model, size, expected) in [
            ("gemini-3-pro-image", "1024x1024", Some("2K")),
            ("gemini-3-pro-image", "auto", Some("2K")),
            ("gemini-3-pro-image", "1792x1024", Some("2K")),
            ("gemini-3-pro-image", "4000x4000", Some("4K")),
            ("gemini-3.1-flash-image", "512x512", Some("1K")),
            ("gemini-3.1-flash-lite-image", "512x512", Some("1K")),
            ("gemini-3.1-flash-lite-image", "auto", None),
            ("gemini-2.5-flash-image", "1024x1024", None),
        ] {
            assert_eq!(tier(model, size), expected, "{model} for {size}");
        }
    }

    #[test]
    fn drafts_are_asked_for_where_there_are_any_and_events_can_hold_them() {
        let previews = |model: &str, size: &str| {
            let spec = ImageSpec { partial_images: 2, ..asked(size, Quality::Auto) };
            Family::of(model).plan(&spec).unwrap().previews
        };
        assert_eq!(previews("gemini-3-pro-image", "1024x1024"), 2);
        assert_eq!(previews("gemini-3-pro-image", "2048x2048"), 2);
        assert_eq!(previews("gemini-3-pro-image", "4000x4000"), 0);
        assert_eq!(previews("gemini-2.5-flash-image", "1024x1024"), 0);
    }

    #[test]
    fn what_no_model_can_do_is_refused_by_name() {
        let clear = ImageSpec { background: Background::Transparent, ..asked("auto", Quality::Auto) };
        let seeded = |seed: i64, n: u32| ImageSpec { seed: Some(seed), n, ..asked("auto", Quality::Auto) };
        let field = |spec: &ImageSpec| match Family::Three.plan(spec) {
            Err(ProviderError::Refused { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(&clear).as_deref(), Some("background"));
        for spec in [seeded(1 << 31, 1), seeded(i64::MAX, 2), seeded(i64::from(i32::MAX), 2)] {
            assert_eq!(field(&spec).as_deref(), Some("seed"));
        }
        assert!(Family::Three.plan(&seeded(i64::from(i32::MAX) - 1, 2)).is_ok());
    }
}
