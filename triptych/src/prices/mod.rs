//! Prices: `triptych prices import`, which converts a price file of LiteLLM to the setting `prices`, and the part of `triptych check`
//! about prices.

mod amount;
mod litellm;
mod served;

use std::{fs, io::Write as _, path::Path};

use anyhow::Context as _;

pub(crate) use self::served::write_served;

/// Converts a file, `model_prices_and_context_window.json` of LiteLLM. `only` is a pattern of model names.
///
/// # Errors
/// The file cannot be read or has another form, or no model has a price.
pub(crate) fn import(file: &Path, only: Option<&str>) -> anyhow::Result<()> {
    let name = file.display();
    let json = fs::read_to_string(file).with_context(|| format!("{name}: cannot read the file"))?;
    let toml = litellm::convert(&json, only.unwrap_or("*")).with_context(|| name.to_string())?;
    std::io::stdout().lock().write_all(toml.as_bytes()).context("cannot write to standard output")
}
