//! The price file of LiteLLM: a JSON object with one member per model, in which the name of a price also has its conditions, such
//! as `output_cost_per_second_720p`.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use anyhow::{Context as _, ensure};
use core_service::{name_pattern, usd::Usd};
use serde_json::value::RawValue;

use super::amount::{Amount, amount};

/// The members of a model.
type Members = BTreeMap<String, Box<RawValue>>;

/// An entry that describes the members of the others.
const DESCRIPTION: &str = "sample_spec";

/// The modes of models that Triptych can serve. Embeddings, for example, are not among them.
const MODES: [&str; 6] = ["chat", "completion", "responses", "image_generation", "image_edit", "video_generation"];

/// Members with an amount that applies under all conditions, the setting for it, and the power of ten between the two.
const AMOUNTS: [(&str, &str, i32); 4] = [
    ("input_cost_per_token", "per_million_input_tokens", 6),
    ("cache_read_input_token_cost", "per_million_cached_tokens", 6),
    ("output_cost_per_token", "per_million_output_tokens", 6),
    ("output_cost_per_image", "per_image", 0),
];

/// The members with the amount for a second. With a suffix such as `_720p`, they apply to that resolution.
const PER_SECOND: [&str; 2] = ["output_cost_per_video_per_second", "output_cost_per_second"];

/// The prices of a model.
#[derive(Debug, Default)]
struct Prices {
    /// Settings and amounts that apply under all conditions.
    common: Vec<(&'static str, Amount)>,
    per_second: Option<Amount>,
    /// The amount for a second of each resolution.
    by_resolution: BTreeMap<String, Amount>,
    max_output_tokens: Option<u64>,
    /// Members about cost that are not converted.
    left_out: Vec<String>,
}

/// Converts the text of a file to TOML. `only` is a pattern of the names in the file, with or without the provider in front.
///
/// # Errors
/// The text has another form, or no model has a price.
pub(super) fn convert(json: &str, only: &str) -> anyhow::Result<String> {
    let models: BTreeMap<String, Members> =
        serde_json::from_str(json).context("expected LiteLLM's model_prices_and_context_window.json")?;
    let mut toml = String::from("# Imported from LiteLLM's price file. Amounts are US dollars.\n");
    let (mut written, mut skipped) = (HashSet::new(), Vec::new());
    // Names without a provider come before those that differ in their provider only.
    let mut models: Vec<_> = models.iter().filter(|(name, _)| *name != DESCRIPTION).collect();
    models.sort_by_key(|(name, _)| (name.contains('/'), *name));
    for (name, members) in models {
        let model = without_provider(name, members);
        let is_served = text(members, "mode").is_none_or(|mode| MODES.contains(&mode.as_str()));
        if !is_served || ![name.as_str(), model].iter().any(|name| name_pattern::matches(only, name)) {
            continue;
        }
        let prices = Prices::of(members);
        if prices.amounts().next().is_none() && prices.left_out.is_empty() {
            continue;
        }
        // A model whose only costs are left out is not free.
        let is_free = prices.amounts().all(|amount| amount.usd == Usd::ZERO);
        if is_free && !prices.left_out.is_empty() {
            skipped.push(format!("{name}: {}", prices.left_out.join(", ")));
        } else if written.insert(model) {
            prices.write(name, model, &mut toml);
        } else {
            skipped.push(format!("{name}: the same name as a model above; import it alone, with --only"));
        }
    }
    ensure!(!written.is_empty(), "no model that matches \"{only}\" has a price that can be converted");
    if !skipped.is_empty() {
        toml.push_str("\n# Left out:\n");
        for line in skipped {
            writeln!(toml, "#   {line}")?;
        }
    }
    Ok(toml)
}

/// Returns the name of a model at its provider: `veo-3.0` for `vertex_ai/veo-3.0`.
fn without_provider<'a>(name: &'a str, members: &Members) -> &'a str {
    let provider = text(members, "litellm_provider").unwrap_or_default();
    match name.split_once('/') {
        Some((first, rest)) if provider == first || provider.starts_with(&format!("{first}-")) => rest,
        _ => name,
    }
}

fn text(members: &Members, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

impl Prices {
    fn of(members: &Members) -> Self {
        let mut prices = Self::default();
        for (member, value) in members {
            let value = value.get();
            let known = AMOUNTS.iter().find(|(known, ..)| known == member);
            if let Some((_, setting, scale)) = known
                && let Some(amount) = amount(value, *scale)
            {
                prices.common.push((setting, amount));
            } else if let Some(resolution) = resolution(member)
                && let Some(amount) = amount(value, 0)
            {
                if resolution.is_empty() {
                    prices.per_second.get_or_insert(amount);
                } else {
                    prices.by_resolution.entry(resolution.to_owned()).or_insert(amount);
                }
            } else if member == "max_output_tokens" {
                prices.max_output_tokens = value.parse().ok().filter(|tokens| *tokens > 0);
            } else if ["cost", "pricing"].iter().any(|word| member.contains(word))
                && value != "null"
                && amount(value, 0).is_none_or(|amount| amount.usd > Usd::ZERO)
            {
                prices.left_out.push(member.clone());
            }
        }
        // In the order of the settings.
        prices.common.sort_by_key(|(setting, _)| AMOUNTS.iter().position(|(_, known, _)| known == setting));
        prices
    }

    fn amounts(&self) -> impl Iterator<Item = &Amount> {
        let common = self.common.iter().map(|(_, amount)| amount);
        common.chain(&self.per_second).chain(self.by_resolution.values())
    }

    /// Writes one price for each resolution, then the one for all others: the first one that matches applies.
    fn write(&self, name: &str, model: &str, toml: &mut String) {
        let per_second = self.by_resolution.iter().map(|(resolution, amount)| (Some(resolution), Some(*amount)));
        let others = !self.common.is_empty() || self.per_second.is_some();
        for (resolution, per_second) in per_second.chain(others.then_some((None, self.per_second))) {
            // Writing to a `String` cannot fail.
            let _ = self.write_one(name, model, resolution, per_second, toml);
        }
    }

    fn write_one(
        &self,
        name: &str,
        model: &str,
        resolution: Option<&String>,
        per_second: Option<Amount>,
        toml: &mut String,
    ) -> std::fmt::Result {
        toml.push('\n');
        if model != name {
            writeln!(toml, "# {name}")?;
        }
        if !self.left_out.is_empty() {
            writeln!(toml, "# Left out: {}", self.left_out.join(", "))?;
        }
        writeln!(toml, "[[prices]]\nmodel = {}", toml::Value::from(model))?;
        if let Some(resolution) = resolution {
            writeln!(toml, "when = {{ resolution = {} }}", toml::Value::from(resolution.as_str()))?;
        }
        for (setting, Amount { usd, is_rounded }) in
            self.common.iter().copied().chain(per_second.map(|amount| ("per_second", amount)))
        {
            let rounded = if is_rounded { " # rounded up" } else { "" };
            writeln!(toml, "{setting} = \"{usd}\"{rounded}")?;
        }
        let has_output = self.common.iter().any(|(setting, _)| *setting == "per_million_output_tokens");
        if let Some(tokens) = self.max_output_tokens.filter(|_| has_output) {
            writeln!(toml, "max_output_tokens = {tokens}")?;
        }
        Ok(())
    }
}

/// Returns the resolution of a member with the amount for a second, such as `720p`; empty if it applies to all. `None`
/// for other members.
fn resolution(member: &str) -> Option<&str> {
    let suffix = PER_SECOND.iter().find_map(|name| member.strip_prefix(name))?;
    let resolution = suffix.strip_prefix('_').unwrap_or_default();
    let number = resolution.strip_suffix(['p', 'k']).unwrap_or_default();
    let is_resolution = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (suffix.is_empty() || is_resolution).then_some(resolution)
}

#[cfg(test)]
mod tests;
