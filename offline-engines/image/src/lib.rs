//! Mock image engine: Triptych's built-in image provider for offline use, tests and demos. It draws a picture from the
//! words of a prompt, without a model, a network or a GPU.
//!
//! Synchronous and deterministic: equal [`ImageRequest`]s yield equal bytes on the same platform, whatever the number of
//! threads. A call allocates the picture and at most two more buffers of its size; [`Quality::High`] renders small
//! pictures at twice their width and height.
//!
//! ```
//! use offline_image::{Format, ImageRequest, encode, paint};
//!
//! let request = ImageRequest { prompt: "a lighthouse at dusk".into(), width: 96, height: 64, ..ImageRequest::default() };
//! let picture = paint(&request, &())?;
//! assert_eq!(picture.dimensions(), (96, 64));
//! let png = encode(&picture, Format::Png)?;
//! assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to start reading: `pipeline` and `edit` are the entry points. `prompt` finds the known words in the prompt,
//! `setting` derives scene, time of day and palette from them, `scene` and `subject` draw on the `canvas`, then `style`,
//! `postprocess` and `caption` are applied.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "pixel arithmetic converts between f32 and integers; values are clamped where they could exceed the range"
)]
#![allow(
    clippy::many_single_char_names,
    clippy::similar_names,
    clippy::unreadable_literal,
    reason = "x, y, u, v and 0xRRGGBB are the customary notation for coordinates and colours"
)]

mod canvas;
mod caption;
mod colour;
mod edit;
mod encode;
mod noise;
mod observer;
mod paint;
mod palette;
mod path;
mod pipeline;
mod postprocess;
mod prompt;
mod random;
mod raster;
mod request;
mod scene;
mod setting;
mod style;
mod subject;

pub use edit::edit;
pub use encode::{EncodeError, Format, encode};
pub use observer::{Cancelled, Observer};
pub use pipeline::{paint, paint_without_caption};
pub use request::{ImageRequest, Quality};
