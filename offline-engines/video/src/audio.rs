//! The silent sound track.
//!
//! AAC-LC, stereo, 48 kHz. Every frame of silence has the same bytes, so no encoder is needed.

/// The sample rate in Hz.
pub(crate) const SAMPLE_RATE: u32 = 48_000;
pub(crate) const CHANNELS: u16 = 2;
/// The samples of one frame.
const FRAME_SAMPLES: u32 = 1024;

/// A frame of silence in ADTS, which is what the muxer reads.
///
/// The header (ISO/IEC 14496-3, 1.A.2) has: MPEG-4, no CRC, AAC-LC, 48 kHz, two channels, 13 bytes. The `raw_data_block` behind it
/// is one channel pair with a common window, no scale factor bands (`max_sfb` 0), and thus no spectral data, and the end marker.
pub(crate) const SILENCE: [u8; 13] = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0xbf, 0xfc, 0x21, 0x00, 0x00, 0x00, 0x00, 0x1c];

/// Returns the start of every frame in seconds. The track ends with the video or up to one frame (21 ms) before it, so that it does
/// not lengthen the file.
pub(crate) fn frame_starts(seconds: u32) -> impl Iterator<Item = f64> {
    let frames = seconds * SAMPLE_RATE / FRAME_SAMPLES;
    (0..frames).map(|frame| f64::from(frame * FRAME_SAMPLES) / f64::from(SAMPLE_RATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_describes_the_frame() {
        let bits =
            u64::from_be_bytes([0, SILENCE[0], SILENCE[1], SILENCE[2], SILENCE[3], SILENCE[4], SILENCE[5], SILENCE[6]]);
        let field = |start: u32, width: u32| bits << (8 + start) >> (64 - width);
        let (profile, rate, channels, length) = (field(16, 2), field(18, 4), field(23, 3), field(30, 13));
        assert_eq!((field(0, 12), profile, rate, channels), (0xfff, 1, 3, CHANNELS.into()), "AAC-LC at 48 kHz");
        assert_eq!(length, SILENCE.len() as u64);
    }

    #[test]
    fn track_is_as_long_as_the_video_but_for_a_part_of_a_frame() {
        let frame = f64::from(FRAME_SAMPLES) / f64::from(SAMPLE_RATE);
        for seconds in [1, 8, 60] {
            let missing = f64::from(seconds) - frame_starts(seconds).last().unwrap() - frame;
            assert!((-1e-9..frame).contains(&missing), "{seconds}: {missing}");
        }
    }
}
