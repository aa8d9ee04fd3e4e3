//! A parser for the boxes (nested blocks with a four-letter type) of an MP4 file that the tests check, ISO/IEC 14496-12.

/// Metadata and access units of an MP4 file.
pub(crate) struct Mp4 {
    /// Types of the top-level boxes, in order.
    pub(crate) layout: Vec<String>,
    /// Width and height from the sample entry.
    pub(crate) size: (u16, u16),
    /// Profile from the decoder configuration.
    pub(crate) profile: u8,
    /// Duration in milliseconds.
    pub(crate) milliseconds: u32,
    /// Runs of frames with the same duration: number of frames, and duration in units of 1/90000 s.
    pub(crate) durations: Vec<(u32, u32)>,
    /// Numbers of the keyframes, starting at 1.
    pub(crate) keyframes: Vec<u32>,
    /// The parameter sets in Annex B format; a decoder needs them first.
    pub(crate) parameters: Vec<u8>,
    /// The access units in Annex B format, one per frame.
    pub(crate) units: Vec<Vec<u8>>,
    pub(crate) audio: Option<AudioTrack>,
}

/// The sound track of an MP4 file.
pub(crate) struct AudioTrack {
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    /// Runs of frames with the same duration, as for the video.
    pub(crate) durations: Vec<(u32, u32)>,
    /// The encoded frames.
    pub(crate) frames: Vec<Vec<u8>>,
}

impl Mp4 {
    pub(crate) fn parse(file: &[u8]) -> Self {
        let layout = boxes(file).into_iter().map(|(kind, _)| kind).collect();
        let moov = find(file, "moov");
        let tracks = boxes(moov).into_iter().filter(|(kind, _)| kind == "trak");
        let tables: Vec<_> = tracks
            .map(|(_, track)| ["mdia", "minf", "stbl"].iter().fold(track, |inside, kind| find(inside, kind)))
            .collect();
        assert!(tables.len() <= 2, "a video track, and at most one sound track");
        let table = tables[0];
        // stsd: 8 bytes of version, flags and entry count, then the sample entry: 8 bytes of box header, 78 bytes of fields.
        let entry = &find(table, "stsd")[16..];
        let half = |at: usize| u16::from_be_bytes([entry[at], entry[at + 1]]);
        let description = find(&entry[78..], "avcC");
        let sps_end = 8 + usize::from(u16::from_be_bytes([description[6], description[7]]));
        // The three bytes after the sequence parameter set are the number of picture parameter sets and the length of the first.
        let mut parameters = annex_b(&description[8..sps_end]);
        parameters.extend(annex_b(&description[sps_end + 3..]));

        Self {
            layout,
            size: (half(24), half(26)),
            profile: description[1],
            // The duration, divided by the ticks per second.
            milliseconds: numbers(find(moov, "mvhd"))[4] * 1000 / numbers(find(moov, "mvhd"))[3],
            durations: durations(table),
            keyframes: numbers(&find(table, "stss")[8..]),
            parameters,
            units: samples(file, table).into_iter().map(start_codes).collect(),
            audio: tables.get(1).map(|table| audio(file, table)),
        }
    }
}

/// Parses the sound track from its sample table. The sample rate is a 16.16 fixed-point number.
fn audio(file: &[u8], table: &[u8]) -> AudioTrack {
    let entry = find(&find(table, "stsd")[8..], "mp4a");
    AudioTrack {
        sample_rate: numbers(&entry[24..])[0] >> 16,
        channels: u16::from_be_bytes([entry[16], entry[17]]),
        durations: durations(table),
        frames: samples(file, table).into_iter().map(<[u8]>::to_vec).collect(),
    }
}

/// Returns the runs of the time-to-sample box. As in the other tables, 8 bytes of version, flags and entry count precede the entries; in
/// `stsz`, 12, because it also has a size common to all samples.
fn durations(table: &[u8]) -> Vec<(u32, u32)> {
    numbers(&find(table, "stts")[8..]).chunks(2).map(|run| (run[0], run[1])).collect()
}

/// Returns the samples of a track, all of which are in one chunk or each in one of its own.
fn samples<'a>(file: &'a [u8], table: &[u8]) -> Vec<&'a [u8]> {
    let sizes: Vec<u32> = numbers(&find(table, "stsz")[12..]);
    let chunks = numbers(&find(table, "stco")[8..]);
    assert!(chunks.len() == 1 || chunks.len() == sizes.len(), "{} chunks", chunks.len());
    let mut end = 0;
    let sample = |(index, size): (usize, &u32)| {
        let start = chunks.get(index).map_or(end, |&start| start as usize);
        end = start + *size as usize;
        &file[start..end]
    };
    sizes.iter().enumerate().map(sample).collect()
}

/// Returns the type and the content of each box.
fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    while bytes.len() >= 8 {
        let size = numbers(&bytes[..4])[0] as usize;
        found.push((String::from_utf8_lossy(&bytes[4..8]).into_owned(), &bytes[8..size]));
        bytes = &bytes[size..];
    }
    found
}

/// Returns the content of the first box of a type.
fn find<'a>(bytes: &'a [u8], kind: &str) -> &'a [u8] {
    boxes(bytes).into_iter().find(|(name, _)| name == kind).unwrap_or_else(|| panic!("no {kind} box")).1
}

/// Returns the bytes as big-endian numbers of 32 bits.
fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|four| u32::from_be_bytes(four.try_into().unwrap())).collect()
}

/// Returns a NAL unit with a start code before it.
fn annex_b(nal: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 1], nal].concat()
}

/// Replaces length prefixes by start codes.
fn start_codes(mut unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while !unit.is_empty() {
        let size = numbers(&unit[..4])[0] as usize;
        out.extend(annex_b(&unit[4..4 + size]));
        unit = &unit[4 + size..];
    }
    out
}
