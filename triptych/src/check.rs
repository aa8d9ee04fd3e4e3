//! `triptych check`: prints the resulting configuration, as a configuration file, and the origin of each setting.

use std::{fmt::Write as _, io::Write as _};

use crate::{banner, certificates, config::Config, prices};

/// Prints the report to standard output.
///
/// # Errors
/// A certificate cannot be used, or has expired.
pub(crate) fn print(config: &Config) -> anyhow::Result<()> {
    let certificates = certificates::check(config)?;
    std::io::stdout().lock().write_all(report(config, &certificates)?.as_bytes())?;
    Ok(())
}

/// Returns the report. `certificates` has a line about each certificate.
fn report(config: &Config, certificates: &[String]) -> Result<String, std::fmt::Error> {
    let mut summary = "The configuration is valid.\n\n".to_owned();
    banner::write_providers(&mut summary, config)?;
    for line in certificates {
        writeln!(summary, "  TLS    {line}")?;
    }
    prices::write_served(&mut summary, &config.core)?;
    summary.push_str("\nThe settings and their origins. Secrets are hidden: set them again where they are comments.\n");
    let mut text = String::new();
    for line in summary.lines() {
        writeln!(text, "{}", format!("# {line}").trim_end())?;
    }
    writeln!(text)?;
    config.layers.write_toml(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const FILE: &str = r#"
        keys = [{ name = "a", secret_env = "A_KEY", limits = { models = ["fast*"], jobs_in_flight = 2 } }]
        threads = 3
        [[teams]]
        name = "research"
        limits = { requests_per_minute = 60 }
        [chat]
        model = "fast"
        [[chat.upstreams]]
        name = "near"
        base_url = "http://10.0.0.7:8080/v1?api-version=query-secret"
        api_key = "sk-near-secret"
        headers = { X-Title = "header-secret" }
        models = ["fast", "deep \"\n# quoted"]
        rename = { fast = "qwen3-8b" }
        [[chat.upstreams]]
        name = "far"
        base_url = "https://api.example.com/v1"
        models = ["fast"]
        [[chat.routes]]
        model = "fast"
        aliases = ["gpt-4o-mini"]
        [chat.routing]
        retries = 0
        [image.openai]
        api_key = "sk-image-secret"
        [rest]
        cors_allow_origins = ["*"]
    "#;

    fn load(file: &str, environment: &[(&str, &str)]) -> Config {
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Config::from_layers(Some((PathBuf::from("triptych.toml"), file.to_owned())), Vec::new(), environment).unwrap()
    }

    /// Returns the settings without their origins, and without the keys, which a report hides.
    fn settings(report: &str) -> Vec<&str> {
        let is_visible = |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("api_key = ");
        report.lines().filter(is_visible).map(|line| line.rsplit_once(" # ").map_or(line, |(line, _)| line)).collect()
    }

    #[test]
    fn report_is_a_configuration_file_with_the_same_settings_and_each_section_once() {
        let environment = [("CHAT_API_KEY", "sk-other-secret"), ("TRIPTYCH_LOG_FILTER", "warn,core_service=debug")];
        for (file, environment) in [("", &[][..]), (FILE, &environment)] {
            let report = report(&load(file, environment), &[]).unwrap();
            assert!(!report.contains("-secret"), "{report}");
            let sections: Vec<_> =
                report.lines().filter(|line| line.starts_with('[') && !line.starts_with("[[")).collect();
            let mut distinct = sections.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(sections.len(), distinct.len(), "{sections:?}");
            let again = super::report(&load(&report, &[]), &[]).unwrap();
            assert_eq!(settings(&again), settings(&report));
        }
    }

    #[test]
    fn price_of_each_model_is_listed_with_its_origin() {
        let openai = r#"
            prices = [{ model = "gpt-4o", per_call = "0.02" }]
            [chat]
            base_url = "https://api.openai.com/v1"
            model = "gpt-4o"
            models = ["gpt-5-mini", "gpt-unknown", "o*"]
            [video.xai]
            api_key = "xai-secret"
            models = ["grok-imagine-video"]
        "#;
        let report = report(&load(openai, &[]), &[]).unwrap();
        for line in [
            "chat   gpt-4o: 0.02 per call (",
            "chat   gpt-5-mini: 0.25 per million input tokens, 0.025 per million cached tokens, 2.00 per million output tokens (",
            "chat   gpt-unknown: none: keys with a budget cannot call it",
            "video  grok-imagine-video with resolution 480p, operation generate: 0.05 per second (",
        ] {
            assert!(
                report.lines().any(|known| known.trim_start_matches('#').trim_start().starts_with(line)),
                "{report}"
            );
        }
        assert!(report.contains("); setting `prices`"), "{report}");
        assert!(report.contains("); https://developers.openai.com/api/docs/pricing, read 20"), "{report}");
        let off = super::report(&load(openai, &[("TRIPTYCH_SHIPPED_PRICES", "false")]), &[]).unwrap();
        assert!(off.contains("gpt-5-mini: none"), "{off}");
        assert!(!super::report(&load("", &[]), &[]).unwrap().contains("prices in US dollars"));
    }

    #[test]
    fn origins_and_hidden_secrets_are_comments() {
        let report = report(&load(FILE, &[("TRIPTYCH_JOBS_LEASE", "3s")]), &[]).unwrap();
        for (setting, origin) in [
            ("threads = \"3\"", "# triptych.toml"),
            ("lease = \"3s\"", "# environment variable TRIPTYCH_JOBS_LEASE"),
            ("data_dir = \"triptych-data\"", "# default"),
            ("base_url = \"http://10.0.0.7:8080/v1\"", "# triptych.toml; its query is hidden"),
            ("# api_key = (hidden)", "# triptych.toml"),
            ("# headers = (hidden)", "# triptych.toml"),
            ("rename = { fast = \"qwen3-8b\" }", "# triptych.toml"),
        ] {
            let is_line = |line: &str| line.starts_with(setting) && line.ends_with(origin);
            assert!(report.lines().any(is_line), "{setting} from {origin} is not in:\n{report}");
        }
    }
}
