//! A reader for just the boxes the tests look at.

/// What the file says about itself, and its access units with their parameter sets as Annex B.
pub(crate) struct Film {
    /// Kinds of the boxes at the top, in order.
    pub(crate) layout: Vec<String>,
    /// Width and height from the sample entry.
    pub(crate) size: (u16, u16),
    /// Profile from the decoder configuration.
    pub(crate) profile: u8,
    /// Length of the movie in milliseconds.
    pub(crate) milliseconds: u32,
    /// Time from one picture to the next, in units of 1/90000 s, run by run.
    pub(crate) durations: Vec<(u32, u32)>,
    /// Numbers of the keyframes, from 1.
    pub(crate) keyframes: Vec<u32>,
    /// The parameter sets, to be decoded first.
    pub(crate) parameters: Vec<u8>,
    /// One per picture.
    pub(crate) units: Vec<Vec<u8>>,
}

impl Film {
    pub(crate) fn parse(file: &[u8]) -> Self {
        let layout = boxes(file).into_iter().map(|(kind, _)| kind).collect();
        let moov = find(file, "moov");
        let table = ["trak", "mdia", "minf", "stbl"].iter().fold(moov, |inside, kind| find(inside, kind));
        // The sample description: 8 bytes of list header, then the entry: 8 of box header, 78 of its own.
        let entry = &find(table, "stsd")[16..];
        let half = |at: usize| u16::from_be_bytes([entry[at], entry[at + 1]]);
        let description = find(&entry[78..], "avcC");
        let sps_end = 8 + usize::from(u16::from_be_bytes([description[6], description[7]]));
        let mut parameters = annex_b(&description[8..sps_end]);
        parameters.extend(annex_b(&description[sps_end + 3..]));

        let sizes: Vec<u32> = numbers(&find(table, "stsz")[12..]);
        let chunks = numbers(&find(table, "stco")[8..]);
        assert_eq!(chunks.len(), 1, "all pictures lie in one chunk");
        let mut at = chunks[0] as usize;
        let units = sizes
            .iter()
            .map(|&size| {
                let unit = &file[at..at + size as usize];
                at += size as usize;
                start_codes(unit)
            })
            .collect();
        Self {
            layout,
            size: (half(24), half(26)),
            profile: description[1],
            milliseconds: numbers(find(moov, "mvhd"))[4] * 1000 / numbers(find(moov, "mvhd"))[3],
            durations: numbers(&find(table, "stts")[8..]).chunks(2).map(|run| (run[0], run[1])).collect(),
            keyframes: numbers(&find(table, "stss")[8..]),
            parameters,
            units,
        }
    }
}

fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    while bytes.len() >= 8 {
        let size = numbers(&bytes[..4])[0] as usize;
        found.push((String::from_utf8_lossy(&bytes[4..8]).into_owned(), &bytes[8..size]));
        bytes = &bytes[size..];
    }
    found
}

fn find<'a>(bytes: &'a [u8], kind: &str) -> &'a [u8] {
    boxes(bytes).into_iter().find(|(name, _)| name == kind).unwrap_or_else(|| panic!("no {kind} box")).1
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|four| u32::from_be_bytes(four.try_into().unwrap())).collect()
}

fn annex_b(nal: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 1], nal].concat()
}

fn start_codes(mut unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while !unit.is_empty() {
        let size = numbers(&unit[..4])[0] as usize;
        out.extend(annex_b(&unit[4..4 + size]));
        unit = &unit[4 + size..];
    }
    out
}
