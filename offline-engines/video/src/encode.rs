//! Frames to H.264 access units, in two encoders at once.
//!
//! Both work at one fixed quantizer. A rate control would learn from the pictures it has seen, differently in each half,
//! and the eye would find the seam and every keyframe; so a few frames are encoded on trial first and the quantizer
//! that meets the target is kept for the whole clip.

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

use crate::sample::{Planes, Sampler};
use crate::{Path, RenderError, Shot, Watch};

/// One picture in the stream: Annex B, parameter sets in front of every keyframe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AccessUnit {
    pub(crate) data: Vec<u8>,
    pub(crate) keyframe: bool,
}

/// Encodes the whole clip. The halves depend on the shot alone, never on the number of cores: the bytes must not either.
pub(crate) fn encode(
    picture: &Planes,
    path: &Path,
    shot: &Shot<'_>,
    watch: &dyn Watch,
) -> Result<Vec<AccessUnit>, RenderError> {
    let frames = shot.frames();
    let work = Work { picture, path, shot, watch, done: Mutex::new(0), failed: AtomicBool::new(false) };
    let quantizer = work.quantizer()?;
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| work.encode(frames / 2..frames, quantizer));
        let first = work.encode(0..frames / 2, quantizer);
        (first, second.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // When one half failed, the other reports that it was told to stop; the cause is the news.
    let (mut units, rest) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(RenderError::Cancelled) | Ok(_), Err(cause)) | (Err(cause), _) => return Err(cause),
    };
    units.extend(rest);
    Ok(units)
}

/// What both encoding threads share.
struct Work<'a> {
    picture: &'a Planes,
    path: &'a Path,
    shot: &'a Shot<'a>,
    watch: &'a dyn Watch,
    /// Held while the watcher is told, so that it never hears a smaller number after a larger one.
    done: Mutex<u32>,
    failed: AtomicBool,
}

impl Work<'_> {
    /// Tries frames from the middle of the clip, where the camera is fastest and pictures cost most.
    fn quantizer(&self) -> Result<u8, RenderError> {
        let middle = self.shot.frames() / 2;
        let mut line = Line::new(self, FINEST)?;
        let key = line.next(middle)?.data.len();
        let following = (1..=TRIAL).map(|step| Ok(line.next(middle + step)?.data.len())).sum::<Result<usize, _>>()?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let (key, following) = (key as f64, following as f64 / f64::from(TRIAL));
        let per_second = 8.0 * (key + following * f64::from(self.shot.fps.per_second() - 1));
        // Six steps of the quantizer double its step size, and about halve the bits.
        let excess = 6.0 * (per_second / f64::from(bits_per_second(self.shot))).log2();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the quantizer's range")]
        let coarser = excess.ceil().clamp(0.0, f64::from(COARSEST - FINEST)) as u8;
        Ok(FINEST + coarser)
    }

    fn encode(&self, frames: Range<u32>, quantizer: u8) -> Result<Vec<AccessUnit>, RenderError> {
        let units = Line::new(self, quantizer).and_then(|mut line| {
            let units = frames.map(|frame| line.next(frame).inspect(|_| self.report()));
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
        self.watch.frames(*done, self.shot.frames());
    }
}

/// One encoder and the frame it draws into.
struct Line<'a> {
    work: &'a Work<'a>,
    sampler: Sampler,
    encoder: Encoder,
}

impl<'a> Line<'a> {
    fn new(work: &'a Work<'a>, quantizer: u8) -> Result<Self, RenderError> {
        let settings = settings(work.shot, quantizer);
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), settings).map_err(RenderError::encode)?;
        Ok(Self { work, sampler: Sampler::new(work.shot.width, work.shot.height), encoder })
    }

    fn next(&mut self, frame: u32) -> Result<AccessUnit, RenderError> {
        let Work { picture, path, shot, watch, failed, .. } = self.work;
        if failed.load(Ordering::Relaxed) || watch.cancelled() {
            return Err(RenderError::Cancelled);
        }
        let drawn = self.sampler.draw(picture, path.at(shot.time_of(frame)))?;
        let coded = self.encoder.encode(&drawn).map_err(RenderError::encode)?;
        let keyframe = match coded.frame_type() {
            FrameType::IDR => true,
            FrameType::I | FrameType::P | FrameType::IPMixed => false,
            kind @ (FrameType::Skip | FrameType::Invalid) => {
                return Err(RenderError::encode(format!("the encoder left out frame {frame} ({kind:?})")));
            }
        };
        Ok(AccessUnit { data: coded.to_vec(), keyframe })
    }
}

/// Quantizers to choose from: finer than the first nobody sees, coarser than the last everybody does.
const FINEST: u8 = 22;
const COARSEST: u8 = 38;
/// Frames tried after the keyframe. The shortest clip has twelve behind its middle.
const TRIAL: u32 = 2;

fn settings(shot: &Shot<'_>, quantizer: u8) -> EncoderConfig {
    let fps = shot.fps.per_second();
    EncoderConfig::new()
        .profile(Profile::High)
        .vui(VuiConfig::bt709())
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        // Of the modes, this one is bounded by the quantizer's range and by nothing else.
        .rate_control_mode(RateControlMode::Bufferbased)
        .qp(QpRange::new(quantizer, quantizer))
        .bitrate(BitRate::from_bps(bits_per_second(shot)))
        .max_frame_rate(FrameRate::from_hz(if fps == 24 { 24.0 } else { 30.0 }))
        // A keyframe a second: seeking in a browser lands where one clicked.
        .intra_frame_period(IntraFramePeriod::from_num_frames(fps))
        // The default drops pictures to hold the bit rate, and the clip would come out short.
        .skip_frames(false)
        .scene_change_detect(false)
        // Both would treat what moves slowly as standing still, and a drift would come in steps.
        .adaptive_quantization(false)
        .background_detection(false)
        // Auto would look at the machine, and the bytes would follow it.
        .num_threads(1)
}

/// The target, an eighth of a bit per pixel: 8 Mbit/s for 1920x1080 at 30. A picture of noise may exceed it.
fn bits_per_second(shot: &Shot<'_>) -> u32 {
    (shot.width * shot.height / 8 * shot.fps.per_second()).max(400_000)
}
