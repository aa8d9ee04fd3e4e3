//! Frames to H.264 access units, in two encoders at once.

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
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| work.encode(frames / 2..frames));
        let first = work.encode(0..frames / 2);
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
    fn encode(&self, frames: Range<u32>) -> Result<Vec<AccessUnit>, RenderError> {
        let units = self.run(frames);
        if units.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        units
    }

    fn run(&self, frames: Range<u32>) -> Result<Vec<AccessUnit>, RenderError> {
        let shot = self.shot;
        let mut sampler = Sampler::new(shot.width, shot.height);
        let mut encoder =
            Encoder::with_api_config(OpenH264API::from_source(), settings(shot)).map_err(RenderError::encode)?;
        let mut units = Vec::with_capacity(frames.len());
        for frame in frames {
            if self.failed.load(Ordering::Relaxed) || self.watch.cancelled() {
                return Err(RenderError::Cancelled);
            }
            let drawn = sampler.draw(self.picture, self.path.at(shot.time_of(frame)))?;
            let coded = encoder.encode(&drawn).map_err(RenderError::encode)?;
            let keyframe = match coded.frame_type() {
                FrameType::IDR => true,
                FrameType::I | FrameType::P | FrameType::IPMixed => false,
                kind @ (FrameType::Skip | FrameType::Invalid) => {
                    return Err(RenderError::encode(format!("the encoder left out frame {frame} ({kind:?})")));
                }
            };
            units.push(AccessUnit { data: coded.to_vec(), keyframe });
            self.report();
        }
        Ok(units)
    }

    fn report(&self) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += 1;
        self.watch.frames(*done, self.shot.frames());
    }
}

fn settings(shot: &Shot<'_>) -> EncoderConfig {
    let fps = shot.fps.per_second();
    EncoderConfig::new()
        .profile(Profile::High)
        .vui(VuiConfig::bt709())
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        .rate_control_mode(RateControlMode::Quality)
        .bitrate(BitRate::from_bps(bits_per_second(shot)))
        .qp(QpRange::new(16, 32))
        .max_frame_rate(FrameRate::from_hz(if fps == 24 { 24.0 } else { 30.0 }))
        // A keyframe a second: seeking in a browser lands where one clicked.
        .intra_frame_period(IntraFramePeriod::from_num_frames(fps))
        // The default drops pictures to hold the bit rate, and the clip would come out short.
        .skip_frames(false)
        .scene_change_detect(false)
        // Auto would look at the machine, and the bytes would follow it.
        .num_threads(1)
}

/// An eighth of a bit per pixel: 8 Mbit/s for 1920x1080 at 30.
fn bits_per_second(shot: &Shot<'_>) -> u32 {
    (shot.width * shot.height / 8 * shot.fps.per_second()).max(400_000)
}
