//! `triptych init`: writes a configuration file in which all settings are comments.

use std::{fs::OpenOptions, io::Write as _, path::Path};

use anyhow::Context as _;

use crate::config::DEFAULTS;

const HEADER: &str = "\
# The configuration of Triptych: all settings, as comments with their defaults. Remove the `#` in front of those to change.
#
# Each setting can also be set by an environment variable: TRIPTYCH_ and the path of the setting in capitals, for example
# TRIPTYCH_GRPC_LISTEN for `listen` in [grpc]. Some settings have a second, shorter variable, named in their comments.
# Variables are also read from a file .env in the working directory. The environment overrides .env, and both override this
# file. `triptych check` validates the file, and prints the resulting values and their origins.
#
# Durations have a unit: \"250ms\", \"15s\", \"1m 30s\", \"24h\".
";

/// Writes the file.
///
/// # Errors
/// The file exists, or cannot be written.
pub(crate) fn write(path: &Path) -> anyhow::Result<()> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!("{} exists and is not overwritten; remove it, or name another file", path.display())
        }
        opened => opened.with_context(|| format!("{}: cannot create the file", path.display()))?,
    };
    file.write_all(starter().as_bytes()).with_context(|| format!("{}: cannot write the file", path.display()))?;
    let path = path.display();
    writeln!(std::io::stdout().lock(), "Wrote {path}. Validate it with `triptych check --config {path}`.")?;
    Ok(())
}

/// Returns the defaults with another header, and with every setting as a comment. Section heads are not comments, so that a
/// setting needs only its own `#` removed.
fn starter() -> String {
    let settings = DEFAULTS.split_once("\n\n").map_or(DEFAULTS, |(_, settings)| settings);
    let mut text = format!("{HEADER}\n");
    for line in settings.lines() {
        if !line.is_empty() && !line.starts_with(['#', '[']) {
            text.push('#');
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Config;

    fn load(file: &str) -> Config {
        let file = Some((PathBuf::from("triptych.toml"), file.to_owned()));
        Config::from_layers(file, Vec::new(), Vec::new()).unwrap()
    }

    fn settings_of_the_file(config: &Config) -> usize {
        config.layers.masked().filter(|(_, _, origin)| origin.to_string() == "triptych.toml").count()
    }

    #[test]
    fn starter_changes_no_setting_and_has_all_as_comments() {
        assert_eq!(settings_of_the_file(&load(&starter())), 0);
        let is_setting = |line: &str| {
            let name = line.split_once(" = ").map_or("", |(name, _)| name);
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let uncomment = |line| match str::strip_prefix(line, "#") {
            Some(setting) if is_setting(setting) => setting,
            Some(_) | None => line,
        };
        let starter = starter();
        let uncommented: Vec<_> = starter.lines().map(uncomment).collect();
        let config = load(&uncommented.join("\n"));
        assert_eq!(settings_of_the_file(&config), config.layers.masked().count());
    }
}
