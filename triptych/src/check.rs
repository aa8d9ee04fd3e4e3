//! `triptych check`: what would run, and which setting came from where. Binds nothing.

use std::{fmt::Write as _, io::Write as _};

use crate::{banner, config::Config};

/// Prints it.
pub(crate) fn print(config: &Config) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(report(config)?.as_bytes())?;
    Ok(())
}

fn report(config: &Config) -> Result<String, std::fmt::Error> {
    let mut text = "The configuration is good.\n\n".to_owned();
    banner::panels(&mut text, config)?;
    writeln!(text)?;
    let mut section = "";
    for (path, value, origin) in config.layers.shown() {
        let (here, key) = path.rsplit_once('.').unwrap_or(("", &path));
        if here != section {
            writeln!(text, "\n[{here}]")?;
            section = config.layers.tree().keys().find(|name| *name == here).map_or("", String::as_str);
        }
        writeln!(text, "{:<50} # {origin}", format!("{key} = {value}"))?;
    }
    Ok(text)
}
