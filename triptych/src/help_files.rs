//! `triptych completions SHELL` and `triptych man`: files that packages install, made from the definition of the command line.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;

/// Writes the completion script of a shell to standard output.
pub(crate) fn write_completions(shell: Shell) -> anyhow::Result<()> {
    Ok(io::stdout().lock().write_all(&completions(shell))?)
}

/// Writes the manual page, in roff, to standard output.
pub(crate) fn write_manual() -> anyhow::Result<()> {
    Ok(io::stdout().lock().write_all(manual()?.as_bytes())?)
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "triptych", &mut text);
    text
}

/// Returns one page with a section for each subcommand. The generator alone would refer to a page of each of them.
fn manual() -> io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    let mut text = into_string(text)?;
    write_subcommands(&command, &mut text)?;
    // `.nf`: roff must not join and re-wrap the lines of the examples and variables.
    let mut extra = Vec::new();
    page.render_extra_section(&mut extra)?;
    text.push_str(&into_string(extra)?.replacen(".SH EXTRA\n", ".SH \"EXAMPLES AND ENVIRONMENT\"\n.nf\n", 1));
    text.push_str(".fi\n");
    Ok(text)
}

fn write_subcommands(command: &Command, text: &mut String) -> io::Result<()> {
    // `help` only repeats what the page has.
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        if subcommand.has_subcommands() {
            write_subcommands(subcommand, text)?;
            continue;
        }
        let name = subcommand.get_bin_name().unwrap_or_else(|| subcommand.get_name());
        let _ = writeln!(text, ".SH \"{}\"", name.to_uppercase());
        let page = Man::new(subcommand.clone());
        let mut sections = Vec::new();
        page.render_description_section(&mut sections)?;
        page.render_synopsis_section(&mut sections)?;
        page.render_options_section(&mut sections)?;
        // Its sections are subsections here, and its description needs no heading.
        let lines = into_string(sections)?.replace(".SH DESCRIPTION\n", "").replace(".SH ", ".SS ");
        text.push_str(&lines);
    }
    Ok(())
}

fn into_string(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn completions_of_every_shell_have_the_subcommands_and_options() {
        for &shell in Shell::value_variants() {
            let text = String::from_utf8(completions(shell)).unwrap();
            for word in ["gateway", "core", "probe", "completions"] {
                assert!(text.contains(word), "{word} is not in the script for {shell}");
            }
        }
    }

    #[test]
    fn manual_has_all_subcommands_in_one_page() {
        let text = manual().unwrap();
        assert!(text.contains(".TH triptych 1"), "{text}");
        for part in [
            ".SH \"TRIPTYCH CHECK\"",
            ".SH \"TRIPTYCH PRICES IMPORT\"",
            "\\-\\-probe",
            "TRIPTYCH_REST_LISTEN",
            "Exit status",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        // References to pages that do not exist.
        assert!(!text.contains("(1)"), "{text}");
    }
}
