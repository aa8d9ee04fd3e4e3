//! Removes flags from prompts. Ark, the model service that serves Seedance, reads parameters such as `--resolution 1080p` in the text
//! of the prompt. With this older notation, a client could override the validated parameters, and so the cost of a video.

/// The flags that Ark reads, without `--`, short and long.
const FLAGS: [&str; 15] = [
    "rs",
    "resolution",
    "rt",
    "ratio",
    "dur",
    "duration",
    "frames",
    "fps",
    "framespersecond",
    "wm",
    "watermark",
    "seed",
    "cf",
    "camerafixed",
    "draft",
];

/// Returns the prompt without flags and their values. A prompt without flags is returned unchanged; in others, each run of
/// whitespace becomes one space. Empty if the prompt consists of flags.
pub(super) fn without_flags(prompt: &str) -> String {
    if !prompt.split_whitespace().any(|word| flag(word).is_some()) {
        return prompt.to_owned();
    }
    let mut kept = Vec::new();
    let mut words = prompt.split_whitespace().peekable();
    while let Some(word) = words.next() {
        match flag(word) {
            None => kept.push(word),
            Some(has_value) => {
                if !has_value {
                    // Ark reads the next word as the value. A value never starts like a flag.
                    words.next_if(|value| !value.starts_with("--"));
                }
            }
        }
    }
    kept.join(" ")
}

/// Returns whether a flag contains its value (`--rs=720p`); `None` if the word is no flag.
fn flag(word: &str) -> Option<bool> {
    let word = word.strip_prefix("--")?;
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    FLAGS.iter().any(|flag| name.eq_ignore_ascii_case(flag)).then_some(value.is_some())
}

#[cfg(test)]
mod tests {
    use super::without_flags;

    #[test]
    fn flags_and_their_values_are_removed_and_other_prompts_are_unchanged() {
        for (prompt, text) in [
            ("a boat\n at dusk", "a boat\n at dusk"),
            ("a boat --rs 1080p at dusk --dur 12", "a boat at dusk"),
            ("a boat --RESOLUTION=1080p --wm true", "a boat"),
            ("--seed --rt 16:9 a boat", "a boat"),
            ("a -- b --style x", "a -- b --style x"),
            ("--fps 24", ""),
        ] {
            assert_eq!(without_flags(prompt), text, "{prompt}");
        }
    }
}
