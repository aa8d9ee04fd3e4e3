//! Tests with a small file in the format of LiteLLM's.

use core_service::config::Price;
use serde::Deserialize;

use super::convert;

const FILE: &str = include_str!("../../../../tests/fixtures/prices/litellm.json");

/// Returns the TOML, and for each price its model, its resolution and its amounts.
fn converted(only: &str) -> (String, Vec<String>) {
    #[derive(Deserialize)]
    struct Setting {
        prices: Vec<Price>,
    }
    let toml = convert(FILE, only).unwrap();
    let setting: Setting = toml::from_str(&toml).unwrap_or_else(|error| panic!("{error}: {toml}"));
    let lines = setting.prices.iter().map(|price| {
        let amounts = [
            price.per_million_input_tokens,
            price.per_million_cached_tokens,
            price.per_million_output_tokens,
            price.per_image,
            price.per_second,
        ];
        let amounts: Vec<_> =
            amounts.iter().map(|amount| amount.map_or("-".to_owned(), |usd| usd.to_string())).collect();
        let resolution = price.when.resolution.as_deref().unwrap_or("any");
        format!("{} {resolution} {}", price.model, amounts.join(" "))
    });
    let lines = lines.collect();
    (toml, lines)
}

#[test]
fn amounts_become_prices_with_resolutions_as_conditions_in_the_order_in_which_they_apply() {
    let (toml, prices) = converted("*");
    let expected = [
        "writer-1 any 0.15 0.075 0.60 - -",
        "filmer-1 any - - - - 0.10",
        "painter-1 any - - - 0.041235 -",
        "filmer-3 1080p - - - - 0.60",
        "filmer-3 4k - - - - 1.20",
        "filmer-3 any - - - - 0.40",
    ];
    assert_eq!(prices, expected, "{toml}");
    assert!(toml.contains("max_output_tokens = 16384\n"), "{toml}");
    assert!(toml.contains("per_image = \"0.041235\" # rounded up\n"), "{toml}");
}

#[test]
fn what_cannot_be_converted_is_named_in_comments() {
    let (toml, _) = converted("*");
    assert!(
        toml.contains("# Left out: input_cost_per_token_above_200k_tokens\n[[prices]]\nmodel = \"writer-1\""),
        "{toml}"
    );
    assert!(toml.contains("#   acme/pixel-painter: input_cost_per_pixel\n"), "{toml}");
    assert!(toml.contains("#   other/writer-1: the same name as a model above"), "{toml}");
    assert!(!toml.contains("embedder") && !toml.contains("sample_spec"), "{toml}");
}

#[test]
fn only_matches_names_with_or_without_the_provider() {
    assert_eq!(converted("filmer-1").1, ["filmer-1 any - - - - 0.10"]);
    assert_eq!(converted("other/*").1, ["writer-1 any 0.90 - 0.90 - -"]);
    assert_eq!(converted("vertex_ai/*").1.len(), 3);
    for only in ["unknown", "*pixel*"] {
        assert!(convert(FILE, only).unwrap_err().to_string().contains(only));
    }
    assert!(convert("[]", "*").is_err());
}
