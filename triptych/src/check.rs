//! `triptych check`: prints the resulting configuration and the origin of each setting.

use std::{fmt::Write as _, io::Write as _};

use crate::{banner, config::Config};

/// Prints the report to standard output.
pub(crate) fn print(config: &Config) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(report(config)?.as_bytes())?;
    Ok(())
}

fn report(config: &Config) -> Result<String, std::fmt::Error> {
    let mut text = "The configuration is valid.\n\n".to_owned();
    banner::write_providers(&mut text, config)?;
    writeln!(text)?;
    let mut section = "";
    for (path, value, origin) in config.layers.masked() {
        let (path_section, key) = path.rsplit_once('.').unwrap_or(("", &path));
        if path_section != section {
            writeln!(text, "\n[{path_section}]")?;
            section = config.layers.tree().keys().find(|name| *name == path_section).map_or("", String::as_str);
        }
        writeln!(text, "{:<50} # {origin}", format!("{key} = {value}"))?;
    }
    Ok(text)
}
