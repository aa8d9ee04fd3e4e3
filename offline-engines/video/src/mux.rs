//! Muxes access units and silence into an MP4 file.

use muxide::api::{AacProfile, AudioCodec, MuxerBuilder, VideoCodec};
use muxide::codec::common::AnnexBNalIter;
use muxide::codec::h264::{AvcConfig, extract_avc_config, nal_type};

use crate::audio;
use crate::encode::AccessUnit;
use crate::error::RenderError;
use crate::shot::Shot;

/// Writes the access units, one per frame, to an MP4 file whose index precedes the media data. They are in Annex B format:
/// NAL units after start codes.
pub(crate) fn mp4(units: Vec<AccessUnit>, shot: &Shot<'_>) -> Result<Vec<u8>, RenderError> {
    let fps = f64::from(shot.fps.per_second());
    let mut muxer =
        MuxerBuilder::new(Vec::new()).video(VideoCodec::H264, shot.width, shot.height, fps).with_fast_start(true);
    if shot.audio {
        muxer = muxer.audio(AudioCodec::Aac(AacProfile::Lc), audio::SAMPLE_RATE, audio::CHANNELS);
    }
    let mut muxer = muxer.build().map_err(RenderError::encode)?;
    let mut parameters: Option<AvcConfig> = None;
    for (frame, unit) in (0u32..).zip(units) {
        let mut data = unit.data;
        if unit.keyframe {
            let found = extract_avc_config(&data)
                .ok_or_else(|| RenderError::encode(format!("keyframe {frame} has no parameter sets")))?;
            match &parameters {
                None => parameters = Some(found),
                // The track has a single decoder configuration. Two threads encode a half of the video each, and both halves
                // must agree on it.
                Some(first) if *first != found => {
                    return Err(RenderError::encode(format!(
                        "keyframe {frame} and the first keyframe have different parameter sets"
                    )));
                }
                // The parameter sets of the first unit become the decoder configuration. An `avc1` track must not contain
                // others.
                Some(_) => data = without_parameter_sets(&data),
            }
        }
        muxer.write_video(f64::from(frame) / fps, &data, unit.keyframe).map_err(RenderError::encode)?;
    }
    if shot.audio {
        // The muxer interleaves both tracks by time.
        for start in audio::frame_starts(shot.seconds) {
            muxer.write_audio(start, &audio::SILENT_FRAME).map_err(RenderError::encode)?;
        }
    }
    muxer.finish_in_place().map_err(RenderError::encode)?;
    Ok(muxer.into_writer())
}

/// Returns the access unit without parameter sets (SPS and PPS).
fn without_parameter_sets(unit: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(unit.len());
    for nal in AnnexBNalIter::new(unit) {
        // The low five bits of the first byte are the type of the NAL unit.
        let kind = nal.first().map_or(0, |header| header & 0x1f);
        if kind != nal_type::SPS && kind != nal_type::PPS {
            kept.extend_from_slice(&[0, 0, 0, 1]);
            kept.extend_from_slice(nal);
        }
    }
    kept
}
