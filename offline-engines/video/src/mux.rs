//! Access units to an MP4 file.

use muxide::api::{MuxerBuilder, VideoCodec};
use muxide::codec::common::AnnexBNalIter;
use muxide::codec::h264::{AvcConfig, extract_avc_config, nal_type};

use crate::encode::AccessUnit;
use crate::{RenderError, Shot};

/// Wraps the units, one per frame, into a file whose index comes first.
pub(crate) fn mp4(units: Vec<AccessUnit>, shot: &Shot<'_>) -> Result<Vec<u8>, RenderError> {
    let fps = f64::from(shot.fps.per_second());
    let mut muxer = MuxerBuilder::new(Vec::new())
        .video(VideoCodec::H264, shot.width, shot.height, fps)
        .with_fast_start(true)
        .build()
        .map_err(RenderError::encode)?;
    let mut parameters: Option<AvcConfig> = None;
    for (frame, unit) in (0u32..).zip(units) {
        let mut data = unit.data;
        if unit.keyframe {
            let own = extract_avc_config(&data)
                .ok_or_else(|| RenderError::encode(format!("keyframe {frame} has no parameter sets")))?;
            match &parameters {
                None => parameters = Some(own),
                // The file has room for one description of the stream, and both halves must fit it.
                Some(first) if *first != own => {
                    return Err(RenderError::encode(format!(
                        "keyframe {frame} has other parameter sets than the first"
                    )));
                }
                // The first unit's sets become the file's description; an `avc1` track carries no others.
                Some(_) => data = without_parameter_sets(&data),
            }
        }
        muxer.write_video(f64::from(frame) / fps, &data, unit.keyframe).map_err(RenderError::encode)?;
    }
    muxer.finish_in_place().map_err(RenderError::encode)?;
    Ok(muxer.into_writer())
}

fn without_parameter_sets(unit: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(unit.len());
    for nal in AnnexBNalIter::new(unit) {
        let kind = nal.first().map_or(0, |header| header & 0x1f);
        if kind != nal_type::SPS && kind != nal_type::PPS {
            kept.extend_from_slice(&[0, 0, 0, 1]);
            kept.extend_from_slice(nal);
        }
    }
    kept
}
