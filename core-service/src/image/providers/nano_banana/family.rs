//! The capabilities of the generations of Gemini's image models, and the request parameters derived from them.

use crate::{
    error::ProviderError,
    image::{
        Edits,
        native_size::{Ratio, closest},
        parameters::{Background, ImageParameters},
    },
    size::Size,
};

/// Images of more pixels would exceed the maximum size of a stream event. All square images of the tier 2K are smaller.
const MAX_STREAMED_PIXELS: u64 = 4_200_000;

/// The ratios and sizes of 2.5 Flash, which has no tiers.
#[rustfmt::skip]
const FLASH_2_5: [((u32, u32), (u32, u32)); 10] = [
    ((1, 1), (1024, 1024)), ((2, 3), (832, 1248)), ((3, 2), (1248, 832)), ((3, 4), (864, 1184)), ((4, 3), (1184, 864)),
    ((4, 5), (896, 1152)), ((5, 4), (1152, 896)), ((9, 16), (768, 1344)), ((16, 9), (1344, 768)), ((21, 9), (1536, 672)),
];

/// The ratios of generation 3 with their sizes in the lowest tier; every tier doubles the sides of the one below.
#[rustfmt::skip]
const GENERATION_3: [((u32, u32), (u32, u32)); 10] = [
    ((1, 1), (512, 512)), ((2, 3), (424, 632)), ((3, 2), (632, 424)), ((3, 4), (448, 600)), ((4, 3), (600, 448)),
    ((4, 5), (464, 576)), ((5, 4), (576, 464)), ((9, 16), (384, 688)), ((16, 9), (688, 384)), ((21, 9), (792, 336)),
];

/// The additional narrow ratios of 3.1 Flash.
const NARROW: [((u32, u32), (u32, u32)); 4] =
    [((1, 4), (256, 1024)), ((4, 1), (1024, 256)), ((1, 8), (192, 1536)), ((8, 1), (1536, 192))];

/// A generation of the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// 2.5 Flash: one size per ratio, at most 3 input images.
    Flash25,
    /// 3.1 Flash and its successors: all tiers and narrow ratios.
    Flash31,
    /// 3.1 Flash Lite: the 1K tier only.
    Lite,
    /// 3 Pro and unknown models: three tiers.
    Pro3,
}

/// The size tier: the API's `imageSize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Half,
    One,
    Two,
    Four,
}

/// The upstream parameters derived from a request and the model's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NativeParams {
    /// The value of `aspectRatio`. `None`: the model's default, which in an edit is the ratio of the input image.
    pub(super) ratio: Option<Ratio>,
    /// The value of `imageSize`, if the family supports it.
    pub(super) tier: Option<Tier>,
    /// The maximum number of previews; if any, the response is streamed.
    pub(super) previews: u32,
}

impl Family {
    /// Returns the family of a model by its name.
    pub(super) fn of(model: &str) -> Self {
        // Routers prefix the name with the vendor: `google/gemini-3-pro-image`.
        let name = model.rsplit('/').next().unwrap_or(model);
        if name.starts_with("gemini-2.5-") {
            Self::Flash25
        } else if name.contains("-flash-lite") {
            Self::Lite
        } else if name.starts_with("gemini-3.1-flash") || name.contains("nano-banana-2") {
            Self::Flash31
        } else {
            Self::Pro3
        }
    }

    pub(super) fn edits(self) -> Edits {
        let pictures = match self {
            Self::Flash25 => 3,
            Self::Flash31 | Self::Lite | Self::Pro3 => 14,
        };
        Edits { pictures, mask: false }
    }

    /// Returns the values of `Model.capabilities`.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::Flash25 => &["edit"],
            Self::Flash31 | Self::Lite | Self::Pro3 => &["edit", "preview"],
        }
    }

    fn tiers(self) -> &'static [Tier] {
        match self {
            Self::Flash25 => &[],
            Self::Lite => &[Tier::One],
            Self::Flash31 => &[Tier::Half, Tier::One, Tier::Two, Tier::Four],
            Self::Pro3 => &[Tier::One, Tier::Two, Tier::Four],
        }
    }

    /// Returns the `imageSize` of a request, otherwise the default one; `None` for a family without this parameter, and for a request
    /// that the family refuses.
    pub(super) fn resolution(self, parameters: &ImageParameters) -> Option<&'static str> {
        let native = NativeParams::new(self, parameters).ok()?;
        let default = self.tiers().iter().copied().find(|tier| *tier == Tier::One);
        native.tier.or(default).map(Tier::as_str)
    }

    /// Returns the tier for high quality: one above, except that 4K is used only if the size requires it.
    fn tier_for_high_quality(self, tier: Tier) -> Option<Tier> {
        let higher = match tier {
            Tier::Half => Tier::One,
            Tier::One | Tier::Two => Tier::Two,
            Tier::Four => Tier::Four,
        };
        self.tiers().iter().copied().find(|known| *known == higher)
    }

    /// Returns all combinations of ratio and tier with their sizes.
    fn formats(self) -> Vec<(Ratio, Option<Tier>, Size)> {
        let format = |((a, b), (width, height)): ((u32, u32), (u32, u32)), tier: Option<Tier>| {
            let factor = tier.map_or(1, Tier::factor);
            (Ratio::new(a, b), tier, Size::new(width * factor, height * factor))
        };
        let narrow: &[_] = if self == Self::Flash31 { &NARROW } else { &[] };
        match self {
            Self::Flash25 => FLASH_2_5.into_iter().map(|known| format(known, None)).collect(),
            Self::Flash31 | Self::Lite | Self::Pro3 => {
                let ratios = GENERATION_3.iter().chain(narrow);
                ratios.flat_map(|known| self.tiers().iter().map(|tier| format(*known, Some(*tier)))).collect()
            }
        }
    }
}

impl NativeParams {
    /// Derives the parameters of a request.
    ///
    /// # Errors
    /// For requests that no model of the family supports and Triptych cannot emulate.
    pub(super) fn new(family: Family, parameters: &ImageParameters) -> Result<Self, ProviderError> {
        let refused = |field: &str, message: String| Err(ProviderError::Refused { message, field: Some(field.into()) });
        if parameters.background == Background::Transparent {
            return refused("background", "this model does not support transparent backgrounds".to_owned());
        }
        // The images have consecutive seeds.
        let last = |seed: i64| seed.checked_add(i64::from(parameters.n)).and_then(|end| i32::try_from(end - 1).ok());
        if let Some(seed) = parameters.seed
            && (i32::try_from(seed).is_err() || last(seed).is_none())
        {
            return refused(
                "seed",
                format!(
                    "seed {seed} for {} images: seeds must be from {} to {} for this model",
                    parameters.n,
                    i32::MIN,
                    i32::MAX
                ),
            );
        }
        let format = parameters.size.and_then(|requested| closest(requested, family.formats(), |(_, _, size)| size));
        let high = parameters.quality.is_high();
        let tier = match format {
            Some((_, tier, _)) => tier,
            // The model's default is 1K; a tier is sent only if it differs.
            None => high.then_some(Tier::One).filter(|_| family.tiers().contains(&Tier::Two)),
        };
        let tier = if high { tier.and_then(|tier| family.tier_for_high_quality(tier)).or(tier) } else { tier };
        let pixels = format.map_or(0, |(_, covering_tier, size)| {
            // High quality raises the tier by at most one, which doubles both sides.
            let factor = if covering_tier == tier { 1 } else { 4 };
            size.pixels() * factor
        });
        let has_previews = family != Family::Flash25 && pixels <= MAX_STREAMED_PIXELS;
        let previews = if has_previews { parameters.partial_images } else { 0 };
        Ok(Self { ratio: format.map(|(ratio, _, _)| ratio), tier, previews })
    }
}

impl Tier {
    /// Returns the wire value.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Half => "512",
            Self::One => "1K",
            Self::Two => "2K",
            Self::Four => "4K",
        }
    }

    /// Returns the length of the sides relative to the lowest tier.
    const fn factor(self) -> u32 {
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
    use crate::image::{parameters::Quality, providers::common::testing::parameters};

    fn sized(size: &str, quality: Quality) -> ImageParameters {
        ImageParameters { size: size.parse().ok(), quality, ..parameters() }
    }

    #[test]
    fn size_becomes_the_closest_ratio_and_the_lowest_covering_tier() {
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
            let native = NativeParams::new(Family::of(model), &sized(size, Quality::Auto)).unwrap();
            let tier = native.tier.map_or_else(String::new, |tier| format!(" {}", tier.as_str()));
            assert_eq!(format!("{}{tier}", native.ratio.unwrap()), expected, "{model} for {size}");
        }
    }

    #[test]
    fn high_quality_raises_the_tier_up_to_2k() {
        let tier = |model: &str, size: &str| {
            NativeParams::new(Family::of(model), &sized(size, Quality::Hd)).unwrap().tier.map(Tier::as_str)
        };
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
    fn resolution_is_the_tier_or_the_default_one() {
        for (model, size, expected) in [
            ("gemini-3-pro-image", "auto", Some("1K")),
            ("gemini-3-pro-image", "4096x4096", Some("4K")),
            ("gemini-3.1-flash-image", "512x512", Some("512")),
            ("gemini-3.1-flash-lite-image", "auto", Some("1K")),
            ("gemini-2.5-flash-image", "1024x1024", None),
        ] {
            let resolution = Family::of(model).resolution(&sized(size, Quality::Auto));
            assert_eq!(resolution, expected, "{model} for {size}");
        }
    }

    #[test]
    fn previews_are_requested_if_supported_and_small_enough_for_an_event() {
        let previews = |model: &str, size: &str| {
            let parameters = ImageParameters { partial_images: 2, ..sized(size, Quality::Auto) };
            NativeParams::new(Family::of(model), &parameters).unwrap().previews
        };
        assert_eq!(previews("gemini-3-pro-image", "1024x1024"), 2);
        assert_eq!(previews("gemini-3-pro-image", "2048x2048"), 2);
        assert_eq!(previews("gemini-3-pro-image", "4000x4000"), 0);
        assert_eq!(previews("gemini-2.5-flash-image", "1024x1024"), 0);
    }

    #[test]
    fn unsupported_parameters_are_rejected_with_their_field() {
        let transparent = ImageParameters { background: Background::Transparent, ..sized("auto", Quality::Auto) };
        let seeded = |seed: i64, n: u32| ImageParameters { seed: Some(seed), n, ..sized("auto", Quality::Auto) };
        let field = |parameters: &ImageParameters| match NativeParams::new(Family::Pro3, parameters) {
            Err(ProviderError::Refused { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(&transparent).as_deref(), Some("background"));
        for parameters in [seeded(1 << 31, 1), seeded(i64::MAX, 2), seeded(i64::from(i32::MAX), 2)] {
            assert_eq!(field(&parameters).as_deref(), Some("seed"));
        }
        assert!(NativeParams::new(Family::Pro3, &seeded(i64::from(i32::MAX) - 1, 2)).is_ok());
    }
}
