//! The settings as a TOML document that can be used as a configuration file. Secrets and the origins of values are comments.

use std::fmt;

use toml::{Table, Value};

use super::{
    layers::{Layers, is_section_list},
    mask::{Shown, shown},
};

/// The column of the comments with the origins.
const COMMENT_COLUMN: usize = 50;

impl Layers {
    /// Writes each section once, in the order of the defaults.
    pub(crate) fn write_toml(&self, f: &mut impl fmt::Write) -> fmt::Result {
        self.write_section(f, "", self.tree())
    }

    fn write_section(&self, f: &mut impl fmt::Write, path: &str, section: &Table) -> fmt::Result {
        let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let origin = |path: &str| self.origin(path).to_string();
        let is_plain = |value: &Value| !value.is_table() && !is_section_list(value);
        if !path.is_empty() && section.values().any(is_plain) {
            writeln!(f, "\n[{path}]")?;
        }
        for (name, value) in section.iter().filter(|(_, value)| is_plain(value)) {
            write_setting(f, name, value, &origin(&child(name)))?;
        }
        // In TOML, a key after the head of a subsection would belong to the subsection.
        for (name, value) in section {
            let path = child(name);
            if let Some(section) = value.as_table() {
                self.write_section(f, &path, section)?;
            }
            for item in value.as_array().into_iter().flatten().filter_map(Value::as_table) {
                writeln!(f, "\n[[{path}]]")?;
                for (name, value) in item {
                    write_setting(f, name, value, &origin(&path))?;
                }
            }
        }
        Ok(())
    }
}

/// Writes one line; a comment if the value is secret.
fn write_setting(f: &mut impl fmt::Write, name: &str, value: &Value, origin: &str) -> fmt::Result {
    let (line, note) = match shown(name, value) {
        Shown::Whole => (format!("{name} = {value}"), ""),
        Shown::WithoutQuery(url) => (format!("{name} = {}", Value::String(url)), "; its query is hidden"),
        Shown::Hidden => (format!("# {name} = (hidden)"), ""),
    };
    writeln!(f, "{line:<COMMENT_COLUMN$} # {origin}{note}")
}
