//! Predefined palettes for times of day and styles, adjusted to the weather and to colours in the prompt.

use crate::colour::{Rgb, WHITE, hex, smooth};
use crate::prompt::{ParsedPrompt, Style, Time, Weather};
use crate::random::Rng;

/// The colours of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    /// From the zenith to the horizon.
    pub(crate) sky: [Rgb; 4],
    /// The sun or the moon.
    pub(crate) disc: Rgb,
    /// The colour into which distant objects fade.
    pub(crate) haze: Rgb,
    /// Silhouettes in the foreground.
    pub(crate) near: Rgb,
    pub(crate) cloud_lit: Rgb,
    pub(crate) cloud_dark: Rgb,
    /// Colour of the light: multiplied with the colour of objects.
    pub(crate) light: Rgb,
    /// Share of the ground's own colour, as opposed to its silhouette in `near`.
    pub(crate) daylight: f32,
    /// Whether the sky is dark, so that stars are visible and windows are lit.
    pub(crate) night: bool,
}

/// Creates a palette from colours as `0xRRGGBB`; `rest` is in the order of its pattern below.
const fn palette(sky: [u32; 4], rest: [u32; 6], daylight: f32, night: bool) -> Palette {
    let [disc, haze, near, cloud_lit, cloud_dark, light] = rest;
    Palette {
        sky: [hex(sky[0]), hex(sky[1]), hex(sky[2]), hex(sky[3])],
        disc: hex(disc),
        haze: hex(haze),
        near: hex(near),
        cloud_lit: hex(cloud_lit),
        cloud_dark: hex(cloud_dark),
        light: hex(light),
        daylight,
        night,
    }
}

// Palettes by time of day, weather and style. Of several ones, the seed selects one.

const DAWN: [Palette; 3] = [
    palette(
        [0x6d8ec6, 0xa8b8de, 0xf2c8cd, 0xffebca],
        [0xfff6de, 0xead2d4, 0x3b4a6c, 0xfff0e2, 0xb9a7c4, 0xfff0e8],
        0.45,
        false,
    ),
    palette(
        [0x4c7f9a, 0x98c2c6, 0xf3d9b8, 0xfff0d6],
        [0xfff8e4, 0xdfe0d2, 0x2b4a55, 0xfff3df, 0x9fb4b8, 0xfff4e6],
        0.5,
        false,
    ),
    palette(
        [0x7a86b8, 0xc3a9c9, 0xf4b7a6, 0xffdca8],
        [0xfff2d0, 0xeec4b4, 0x3f3f66, 0xffe6d0, 0xa98fb4, 0xffeadf],
        0.4,
        false,
    ),
];
const DAY: [Palette; 3] = [
    palette(
        [0x2c78c8, 0x6aaee6, 0xb4dbf4, 0xe9f5fa],
        [0xfffdf0, 0xc6dfee, 0x24503f, 0xffffff, 0xbfd3e4, 0xffffff],
        1.0,
        false,
    ),
    palette(
        [0x3697b6, 0x86cbd6, 0xcdebe6, 0xf6f7e6],
        [0xfffbe6, 0xcfe6e2, 0x1f4f4a, 0xffffff, 0xb6d2d4, 0xfffdf4],
        1.0,
        false,
    ),
    palette(
        [0x4a7fc4, 0x8fb6e4, 0xcfe0f2, 0xfbf3e4],
        [0xfffae8, 0xd6e0ea, 0x34485a, 0xfffdf8, 0xc2cee0, 0xfffaf2],
        0.95,
        false,
    ),
];
const SUNSET: [Palette; 3] = [
    palette(
        [0x2a2a5e, 0x73407c, 0xdc6a66, 0xfdb968],
        [0xfff0c0, 0xf2a479, 0x21173a, 0xffce9c, 0x864873, 0xf4cdbd],
        0.12,
        false,
    ),
    palette(
        [0x23406a, 0x6b6796, 0xe58e78, 0xfcca8c],
        [0xfff2cc, 0xe8a78c, 0x1c2244, 0xffd9ae, 0x7a5f8c, 0xf6d3c4],
        0.15,
        false,
    ),
    palette(
        [0x4a2348, 0xa03c56, 0xee7d48, 0xffd070],
        [0xfff3c2, 0xf2a25e, 0x2a1228, 0xffc98a, 0x8c3b52, 0xf8cdb0],
        0.12,
        false,
    ),
];
const DUSK: [Palette; 2] = [
    palette(
        [0x1b2052, 0x483c7e, 0xa05c92, 0xf0a490],
        [0xfde3d0, 0xb07ba0, 0x15142f, 0xd99ab0, 0x4a3c74, 0xc0b0d4],
        0.14,
        false,
    ),
    palette(
        [0x142a4e, 0x35588a, 0x8f86b0, 0xf2b8a8],
        [0xfdeadc, 0x9a93b8, 0x101b36, 0xd8b0b8, 0x3d517e, 0xb4bcd8],
        0.18,
        false,
    ),
];
const NIGHT: [Palette; 3] = [
    palette(
        [0x060b20, 0x0e1d40, 0x1f3d6c, 0x44719c],
        [0xf6f2da, 0x2c4f7a, 0x050a18, 0x5d7fa6, 0x15294c, 0x7f92c4],
        0.1,
        true,
    ),
    palette(
        [0x0a0822, 0x1c1648, 0x3b2d74, 0x7058a0],
        [0xf8efe0, 0x4a3c7c, 0x080618, 0x7c68a8, 0x221a50, 0x8c86c4],
        0.1,
        true,
    ),
    palette(
        [0x04121c, 0x0a2636, 0x174a5c, 0x3f8488],
        [0xf2f4e0, 0x28606c, 0x030d14, 0x5c949a, 0x103440, 0x7ca0b8],
        0.1,
        true,
    ),
];
const STORM: Palette = palette(
    [0x1d242c, 0x37424e, 0x5c6a74, 0x9aa6aa],
    [0xdfe6e6, 0x76868e, 0x141a20, 0x8b989e, 0x2a343e, 0xa4b0ba],
    0.3,
    false,
);
const NEON: [Palette; 2] = [
    palette(
        [0x0a0220, 0x2b0a50, 0x7d1b7e, 0xff5090],
        [0xffd36e, 0x9a2c9a, 0x090518, 0xff7ac0, 0x35105c, 0xb9a0e8],
        0.08,
        true,
    ),
    palette(
        [0x020b24, 0x0c2a5c, 0x2a4fa0, 0xe05ac8],
        [0xff8ad2, 0x3a5cb4, 0x040818, 0x8f8af0, 0x141c54, 0xa0b0f0],
        0.08,
        true,
    ),
];
const INK: Palette = palette(
    [0xe4ddce, 0xece5d6, 0xf3eddf, 0xf6f1e5],
    [0xc8452f, 0xefe8da, 0x22262a, 0xf8f4ea, 0xcfc8ba, 0xd8d4cc],
    0.0,
    false,
);

impl Palette {
    /// Selects a palette and adjusts it to the prompt.
    pub(crate) fn new(prompt: &ParsedPrompt, time: Time, rng: &mut Rng) -> Self {
        let choice = rng.next_u64() as usize;
        let by_time = match time {
            Time::Dawn => DAWN[choice % DAWN.len()],
            Time::Day => DAY[choice % DAY.len()],
            Time::Sunset => SUNSET[choice % SUNSET.len()],
            Time::Dusk => DUSK[choice % DUSK.len()],
            Time::Night => NIGHT[choice % NIGHT.len()],
        };
        let mut palette = if prompt.has_style(Style::Ink) {
            INK
        } else if prompt.has_style(Style::Neon) {
            NEON[choice % NEON.len()]
        } else if prompt.has_weather(Weather::Storm) && time != Time::Night {
            STORM
        } else {
            by_time
        };
        if prompt.has_weather(Weather::Fog) {
            palette = palette.map_colours(|rgb| rgb.saturate(0.75));
            palette.near = palette.near.to(palette.haze, 0.25);
        }
        if prompt.has_weather(Weather::Rain) && !prompt.has_style(Style::Neon) {
            palette = palette.map_colours(|rgb| rgb.saturate(0.5).darker(0.14));
        }
        if prompt.has_weather(Weather::Snow) && !palette.night {
            palette = palette.map_colours(|rgb| rgb.saturate(0.72).lighter(0.08));
        }
        if prompt.has_style(Style::Watercolour) && !palette.night {
            palette = palette.map_colours(|rgb| rgb.lighter(0.1));
            palette.near = palette.near.to(palette.haze, 0.18);
        }
        if !prompt.has_style(Style::Ink) {
            palette.tint(&prompt.colours);
        }
        palette
    }

    /// Returns the colour of ground; `depth` is 0 at the horizon and 1 in the foreground.
    pub(crate) fn land(&self, material: Rgb, depth: f32) -> Rgb {
        let near = self.near.to(material.times(self.light), self.daylight);
        self.haze.to(near, smooth(-0.25, 1.0, depth))
    }

    /// Returns the colour of an object in the scene's light.
    pub(crate) fn lit(&self, material: Rgb) -> Rgb {
        material.times(self.light)
    }

    /// Applies a function to all colours except that of the sun or moon.
    fn map_colours(self, change: impl Fn(Rgb) -> Rgb) -> Self {
        Self {
            sky: self.sky.map(&change),
            disc: self.disc,
            haze: change(self.haze),
            near: change(self.near),
            cloud_lit: change(self.cloud_lit),
            cloud_dark: change(self.cloud_dark),
            light: change(self.light),
            ..self
        }
    }

    /// Tints the sky with the first named colour and the ground with the second one.
    fn tint(&mut self, colours: &[Rgb]) {
        if let Some(&sky) = colours.first() {
            let land = colours.get(1).copied().unwrap_or(sky);
            *self = self.map_colours(|rgb| rgb.tinted(sky, 0.62));
            self.near = self.near.tinted(land, 0.6);
            self.haze = self.haze.tinted(sky, 0.3);
            self.light = self.light.to(WHITE, 0.3);
        }
    }
}
