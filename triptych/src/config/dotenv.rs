//! The `.env` file.

use std::path::Path;

use super::error::ConfigError;

/// Returns the variables of a `.env` file; none if it does not exist. Does not change the environment of the process.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let to_error = |error: dotenvy::Error| {
        // Only the name: the value may be a key.
        let message = if let dotenvy::Error::LineParse(line, _) = &error {
            let name = line.split('=').next().unwrap_or_default().trim();
            format!("cannot parse the line of `{name}`; expected NAME=value")
        } else {
            error.to_string()
        };
        ConfigError(format!("{}: {message}", path.display()))
    };
    match dotenvy::from_path_iter(path) {
        Ok(lines) => lines.collect::<Result<_, _>>().map_err(to_error),
        Err(error) if error.not_found() => Ok(Vec::new()),
        Err(error) => Err(to_error(error)),
    }
}
