//! The offline image engine: paints a picture from the words of a prompt, without a model, a network or a GPU.
//!
//! Synchronous and deterministic: an equal [`Brief`] gives equal bytes on the same platform, whatever the number of
//! threads. A call holds the picture and at most two more buffers of its size; [`Quality::High`] paints small pictures at
//! twice their size.
//!
//! ```
//! use offline_image::{Brief, Format, encode, paint};
//!
//! let brief = Brief { prompt: "a lighthouse at dusk".into(), width: 96, height: 64, ..Brief::default() };
//! let picture = paint(&brief, &())?;
//! assert_eq!(picture.dimensions(), (96, 64));
//! let png = encode(&picture, Format::Png)?;
//! assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "pixel arithmetic moves between f32 and integers all the time; values are clamped where they could leave the range"
)]
#![allow(
    clippy::many_single_char_names,
    clippy::similar_names,
    clippy::unreadable_literal,
    reason = "x, y, u, v and 0xRRGGBB are the names geometry and colours go by"
)]

mod brief;
mod canvas;
mod caption;
mod colour;
mod edit;
mod encode;
mod finish;
mod lexicon;
mod noise;
mod paint;
mod painter;
mod palette;
mod path;
mod random;
mod raster;
mod scene;
mod style;
mod subject;

pub use brief::{Brief, Cancelled, Quality, Watch};
pub use edit::edit;
pub use encode::{EncodeError, Format, encode};
pub use painter::{bare, paint};
