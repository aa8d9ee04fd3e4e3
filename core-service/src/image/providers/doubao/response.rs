//! The responses of Ark, the model service of Volcengine that serves Seedream: images, stream events, and errors, which Ark reports in
//! several places.

use super::super::common::image_list::{self, ImageList, UpstreamImage};
use crate::{
    ark_errors,
    error::ProviderError,
    image::Usage,
    json::members::read_object,
    upstream::{parse_error_member_with, parse_error_response_with},
};
use http::{HeaderMap, StatusCode};

/// An event of a streamed series.
#[derive(Debug, Default, PartialEq)]
pub(super) enum SeriesEvent {
    /// An image is finished or has failed.
    Image {
        /// The index of the image, from 0, if the event has one.
        index: Option<usize>,
        image: UpstreamImage,
    },
    /// The series is complete.
    Completed { usage: Option<Usage> },
    /// An unknown event, which is ignored.
    #[default]
    Unknown,
}

/// Parses a non-streaming response.
pub(super) fn parse(body: &[u8]) -> Result<ImageList, ProviderError> {
    image_list::parse(body, embedded_error)
}

/// Parses the data of one stream event.
pub(super) fn parse_event(data: &[u8]) -> Result<SeriesEvent, ProviderError> {
    read_object(data, |members| match members.text("type").as_deref().unwrap_or_default() {
        kind if kind.ends_with(".partial_succeeded") || kind.ends_with(".partial_failed") => {
            let index = members.number("image_index").and_then(|index| index.try_into().ok());
            Ok(SeriesEvent::Image { index, image: image_list::image(&members, embedded_error) })
        }
        kind if kind.ends_with(".completed") => {
            Ok(SeriesEvent::Completed { usage: image_list::usage(&members.object("usage")) })
        }
        _ => members.error().map_or(Ok(SeriesEvent::Unknown), |error| Err(embedded_error(error))),
    })?
}

/// Maps an error response to a provider error.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    parse_error_response_with(status, headers, body, ark_errors::refine)
}

/// Maps an `error` within a successful response to a provider error.
fn embedded_error(error: &str) -> ProviderError {
    parse_error_member_with(error, ark_errors::refine)
}
