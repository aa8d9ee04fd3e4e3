//! Encodes the frames of a clip to H.264 access units (one for each frame), with one encoder for each half of the clip.
//!
//! Both encoders use the same fixed quantizer. A rate control would adapt to the frames of its half, so that quality would
//! change visibly between the halves and at every keyframe. Instead, a few frames are encoded first to find the quantizer
//! that meets the target bit rate, which is then used for the whole clip.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, QpRange,
    RateControlMode, UsageType, VuiConfig,
};

use crate::error::RenderError;
use crate::observer::Observer;
use crate::sample::{Planes, Sampler};
use crate::shot::Shot;
use crate::timeline::Timeline;

/// One encoded frame in Annex B format. Keyframes begin with the parameter sets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AccessUnit {
    pub(crate) data: Vec<u8>,
    pub(crate) keyframe: bool,
}

/// Encodes the clip. Always in two halves, whatever the number of cores, because the bytes must depend on the shot alone.
pub(crate) fn encode(
    pictures: &[Planes],
    timeline: &Timeline,
    shot: &Shot<'_>,
    observer: &dyn Observer,
) -> Result<Vec<AccessUnit>, RenderError> {
    let frames = shot.frames();
    let job = EncodeJob { pictures, timeline, shot, observer, done: Mutex::new(0), failed: AtomicBool::new(false) };
    let quantizer = job.choose_quantizer()?;
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| job.encode(frames / 2..frames, quantizer));
        let first = job.encode(0..frames / 2, quantizer);
        (first, second.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // If one half fails, the other one stops with `Cancelled`; report the original error.
    let (mut units, rest) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(RenderError::Cancelled) | Ok(_), Err(cause)) | (Err(cause), _) => return Err(cause),
    };
    units.extend(rest);
    Ok(units)
}

/// The state shared by both encoding threads.
struct EncodeJob<'a> {
    pictures: &'a [Planes],
    timeline: &'a Timeline,
    shot: &'a Shot<'a>,
    observer: &'a dyn Observer,
    /// Number of encoded frames. Locked during the observer's call, so that reported numbers always increase.
    done: Mutex<u32>,
    /// Whether one thread failed, so that the other one stops.
    failed: AtomicBool,
}

impl EncodeJob<'_> {
    /// Chooses the quantizer from sample frames in the middle of the clip, where the camera is fastest and frames are largest.
    fn choose_quantizer(&self) -> Result<u8, RenderError> {
        let middle = self.shot.frames() / 2;
        let mut encoder = FrameEncoder::new(self, MIN_QUANTIZER)?;
        let key = encoder.next(middle)?.data.len();
        let following =
            (1..=SAMPLE_FRAMES).map(|step| Ok(encoder.next(middle + step)?.data.len())).sum::<Result<usize, _>>()?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let (key, following) = (key as f64, following as f64 / f64::from(SAMPLE_FRAMES));
        let per_second = 8.0 * (key + following * f64::from(self.shot.fps.per_second() - 1));
        // An increase of the quantizer by six doubles the step size and about halves the number of bits.
        let excess = 6.0 * (per_second / f64::from(bits_per_second(self.shot))).log2();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the quantizer's range")]
        let increase = excess.ceil().clamp(0.0, f64::from(MAX_QUANTIZER - MIN_QUANTIZER)) as u8;
        Ok(MIN_QUANTIZER + increase)
    }

    /// Encodes a range of frames with an encoder of its own.
    fn encode(&self, frames: Range<u32>, quantizer: u8) -> Result<Vec<AccessUnit>, RenderError> {
        let units = FrameEncoder::new(self, quantizer).and_then(|mut encoder| {
            let units = frames.map(|frame| encoder.next(frame).inspect(|_| self.report()));
            units.collect()
        });
        if units.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        units
    }

    fn report(&self) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += 1;
        self.observer.frames(*done, self.shot.frames());
    }
}

/// An encoder and the buffer for its frames.
struct FrameEncoder<'a> {
    job: &'a EncodeJob<'a>,
    sampler: Sampler,
    encoder: Encoder,
}

impl<'a> FrameEncoder<'a> {
    fn new(job: &'a EncodeJob<'a>, quantizer: u8) -> Result<Self, RenderError> {
        let settings = settings(job.shot, quantizer);
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), settings).map_err(RenderError::encode)?;
        Ok(Self { job, sampler: Sampler::new(job.shot.width, job.shot.height), encoder })
    }

    /// Draws and encodes a frame. Frames must be passed in order.
    fn next(&mut self, frame: u32) -> Result<AccessUnit, RenderError> {
        let EncodeJob { pictures, timeline, shot, observer, failed, .. } = self.job;
        if failed.load(Ordering::Relaxed) || observer.cancelled() {
            return Err(RenderError::Cancelled);
        }
        let drawn = self.sampler.draw(pictures, timeline.at(shot.time_of(frame)))?;
        let coded = self.encoder.encode(&drawn).map_err(RenderError::encode)?;
        let keyframe = match coded.frame_type() {
            FrameType::IDR => true,
            FrameType::I | FrameType::P | FrameType::IPMixed => false,
            kind @ (FrameType::Skip | FrameType::Invalid) => {
                return Err(RenderError::encode(format!("the encoder skipped frame {frame} ({kind:?})")));
            }
        };
        Ok(AccessUnit { data: coded.to_vec(), keyframe })
    }
}

/// Range of quantizers (QP, 0 to 51 in H.264; a greater one gives smaller files): below it, improvements are invisible; above
/// it, artefacts are obvious.
const MIN_QUANTIZER: u8 = 22;
const MAX_QUANTIZER: u8 = 38;
/// Number of sample frames after the keyframe. The second half of the shortest clip has twelve frames.
const SAMPLE_FRAMES: u32 = 2;

fn settings(shot: &Shot<'_>, quantizer: u8) -> EncoderConfig {
    let fps = shot.fps.per_second();
    EncoderConfig::new()
        .profile(Profile::High)
        .vui(VuiConfig::bt709())
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        // In this mode the quantizer range is the only constraint.
        .rate_control_mode(RateControlMode::Bufferbased)
        .qp(QpRange::new(quantizer, quantizer))
        .bitrate(BitRate::from_bps(bits_per_second(shot)))
        .max_frame_rate(FrameRate::from_hz(if fps == 24 { 24.0 } else { 30.0 }))
        // One keyframe per second, so that seeking in a browser is accurate.
        .intra_frame_period(IntraFramePeriod::from_num_frames(fps))
        // The default drops frames to keep the bit rate, which would shorten the clip.
        .skip_frames(false)
        .scene_change_detect(false)
        // Both treat slow motion as a still image, so that a slow move would look jerky.
        .adaptive_quantization(false)
        .background_detection(false)
        // The automatic setting depends on the number of cores, and the output on the setting.
        .num_threads(1)
}

/// Returns the target bit rate: 1/8 bit per pixel, about 8 Mbit/s for 1920x1080 at 30 frames per second. Noise may exceed
/// it.
fn bits_per_second(shot: &Shot<'_>) -> u32 {
    (shot.width * shot.height / 8 * shot.fps.per_second()).max(400_000)
}
