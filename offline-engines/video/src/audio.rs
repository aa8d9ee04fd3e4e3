//! The silent audio track of a clip: AAC-LC, stereo, 48 kHz.
//!
//! A frame of silence does not depend on the frames before it, so one encoded frame is repeated and no encoder is needed.

/// The sample rate in Hz.
pub(crate) const SAMPLE_RATE: u32 = 48_000;
/// The number of channels: left and right.
pub(crate) const CHANNELS: u16 = 2;
/// The number of samples of each channel in one AAC-LC frame.
const SAMPLES_PER_FRAME: u32 = 1024;

/// One frame of silence in ADTS, the format that the muxer accepts.
///
/// - Bytes 0 to 6 are the ADTS header (ISO/IEC 14496-3, 1.A.2): MPEG-4, no CRC, AAC-LC, 48 kHz, two channels, a length of 13 bytes.
/// - Bytes 7 to 12 are the `raw_data_block`: one channel pair with a common window and without scale factor bands (`max_sfb` 0),
///   so there is no spectral data; then the end marker.
pub(crate) const SILENT_FRAME: [u8; 13] =
    [0xff, 0xf1, 0x4c, 0x80, 0x01, 0xbf, 0xfc, 0x21, 0x00, 0x00, 0x00, 0x00, 0x1c];

/// Returns the start times, in seconds, of all audio frames of a video of this duration.
///
/// A frame that would end after the video is omitted, so the audio track is up to one frame (21 ms) shorter than the video.
pub(crate) fn frame_starts(video_seconds: u32) -> impl Iterator<Item = f64> {
    let frames = video_seconds * SAMPLE_RATE / SAMPLES_PER_FRAME;
    (0..frames).map(|frame| f64::from(frame * SAMPLES_PER_FRAME) / f64::from(SAMPLE_RATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adts_header_matches_the_parameters_of_the_track() {
        // The 7 bytes of the header as a big-endian number, in the upper 56 bits.
        let header = SILENT_FRAME[..7].iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)) << 8;
        let field = |first_bit: u32, width: u32| header << first_bit >> (64 - width);
        assert_eq!(field(0, 12), 0xfff, "sync word");
        assert_eq!(field(16, 2), 1, "profile: AAC-LC");
        assert_eq!(field(18, 4), 3, "index of the sample rate: 48 kHz");
        assert_eq!(field(23, 3), u64::from(CHANNELS));
        assert_eq!(field(30, 13), SILENT_FRAME.len() as u64, "length with the header");
    }

    #[test]
    fn audio_track_is_less_than_one_frame_shorter_than_the_video() {
        let frame_seconds = f64::from(SAMPLES_PER_FRAME) / f64::from(SAMPLE_RATE);
        // The start times are rounded, so a track of the same length may seem longer by this.
        let tolerance = 1e-9;
        for video_seconds in [1, 8, 60] {
            let audio_end = frame_starts(video_seconds).last().unwrap() + frame_seconds;
            let missing = f64::from(video_seconds) - audio_end;
            assert!((-tolerance..frame_seconds).contains(&missing), "{video_seconds} s: {missing} s are missing");
        }
    }
}
