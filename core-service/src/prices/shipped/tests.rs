//! Tests of the shipped list and of its use.

use super::*;
use crate::{
    config::{PriceConditions, RouteRule, Settings, Upstream},
    model_facts::FactsTable,
    prices::{Attributes, PriceOrigin, PriceTable, Quantities, served_prices},
    usd::Usd,
};

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

/// Returns where the prices of a model come from, and what a million tokens in each direction, an image or ten seconds cost.
fn origin_and_cost(settings: &Settings, model: &str, attributes: &Attributes) -> (PriceOrigin, Option<Usd>) {
    let served = served_prices(settings).into_iter().find(|served| served.model == model).unwrap();
    let provider = match served.modality {
        Modality::Image => "google",
        Modality::Video => "openai",
        Modality::Chat | Modality::Unspecified => "upstream",
    };
    let names = ModelNames { public: model, upstream: model, provider };
    let prices = PriceTable::of(settings).of_model(served.modality, names);
    let quantities = |_: &Price| match served.modality {
        Modality::Image => Quantities { images: 1, ..Quantities::default() },
        Modality::Video => Quantities { video_millis: 10_000, ..Quantities::default() },
        Modality::Chat | Modality::Unspecified => {
            Quantities { input_tokens: 1_000_000, output_tokens: 1_000_000, ..Quantities::default() }
        }
    };
    (served.origin, prices.highest(attributes, quantities).map(|(_, cost)| cost))
}

fn chat_cost(settings: &Settings, model: &str) -> Option<Usd> {
    origin_and_cost(settings, model, &Attributes::default()).1
}

fn usd(text: &str) -> Option<Usd> {
    Usd::parse(text)
}

const OPENAI_CHAT: &str = r#"
    [chat]
    base_url = "https://api.openai.com/v1"
    model = "gpt-4o"
"#;

#[test]
fn list_parses_and_each_price_has_a_source_and_a_plausible_amount() {
    let file: File = toml::from_str(include_str!("list.toml")).unwrap();
    let is_day = |day: &str| humantime_serde::re::humantime::parse_rfc3339(&format!("{day}T00:00:00Z")).is_ok();
    assert!(is_day(&file.version), "{}", file.version);
    let within = |amount: Option<Usd>, lowest: &str, highest: &str| {
        amount.is_none_or(|amount| usd(lowest).unwrap() <= amount && amount <= usd(highest).unwrap())
    };
    for PriceList { modality, hosts, source, read, prices } in &file.lists {
        let page = url::Url::parse(source).unwrap();
        assert_eq!(page.scheme(), "https", "{source}");
        assert!(is_day(read) && *read <= file.version, "{source} was read on {read}");
        assert!(!hosts.is_empty() && !prices.is_empty(), "{source}");
        let all = prices.iter().map(|price| Price::clone(price)).collect();
        Settings { prices: all, ..Settings::default() }.validate().unwrap();
        for price in prices {
            let Price { per_million_input_tokens: input, per_million_cached_tokens: cached, .. } = **price;
            let output = price.per_million_output_tokens;
            assert!(!name_pattern::is_pattern(&price.model) && price.provider.is_empty(), "{price:?}");
            assert!(super::super::has_amount(price, (*modality).into()), "{price:?}");
            assert!(within(input, "0.05", "20") && within(output, "0.2", "100"), "{price:?}");
            assert!(cached.is_none_or(|cached| Some(cached) < input), "{price:?}");
            assert!(input.is_none_or(|input| output.is_none_or(|output| input <= output)), "{price:?}");
            assert!(within(price.per_image, "0.01", "0.5") && within(price.per_second, "0.02", "2"), "{price:?}");
            assert_eq!(price.per_call, None, "{price:?}");
        }
    }
}

/// Returns whether no request can meet both.
fn are_disjoint(one: &PriceConditions, other: &PriceConditions) -> bool {
    fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
        one.is_some() && other.is_some() && one != other
    }
    let lower = |text: &Option<String>| text.as_deref().map(str::to_ascii_lowercase);
    differ(lower(&one.resolution).as_ref(), lower(&other.resolution).as_ref())
        || differ(one.size.as_ref(), other.size.as_ref())
        || differ(one.quality.as_ref(), other.quality.as_ref())
        || differ(one.audio.as_ref(), other.audio.as_ref())
        || differ(one.video_input.as_ref(), other.video_input.as_ref())
        || differ(one.operation.as_ref(), other.operation.as_ref())
}

#[test]
fn no_request_meets_the_conditions_of_two_prices_of_a_model() {
    let all: Vec<_> = LISTS.lists.iter().flat_map(|list| list.prices.iter().map(move |price| (list, price))).collect();
    for (position, (list, price)) in all.iter().enumerate() {
        for (other_list, other) in &all[..position] {
            let same_api =
                list.hosts == other_list.hosts && Modality::from(list.modality) == Modality::from(other_list.modality);
            let is_ambiguous = same_api && price.model == other.model && !are_disjoint(&price.when, &other.when);
            assert!(!is_ambiguous, "{price:?} and {other:?}");
            let is_split = same_api && price.model == other.model && list.source != other_list.source;
            assert!(!is_split, "{} is in two lists: only the first is found", price.model);
        }
    }
}

#[test]
fn resolutions_and_sizes_of_video_prices_are_those_of_the_models() {
    let providers = [
        ("api.openai.com", "openai"),
        ("generativelanguage.googleapis.com", "gemini"),
        ("aiplatform.googleapis.com", "vertex"),
        ("dashscope-intl.aliyuncs.com", "wan"),
        ("api.minimax.io", "minimax"),
        ("api.x.ai", "xai"),
        ("api.dev.runwayml.com", "runway"),
        ("queue.fal.run", "fal"),
    ];
    for list in LISTS.lists.iter().filter(|list| Modality::from(list.modality) == Modality::Video) {
        let (_, provider) =
            providers.into_iter().find(|(host, _)| list.hosts.iter().any(|known| known == host)).unwrap();
        for price in &list.prices {
            let crate::model_facts::Outputs::Listed(outputs) =
                FactsTable::default().find(provider, &price.model).outputs
            else {
                panic!("{} at {provider} has no sizes", price.model);
            };
            let resolution = price.when.resolution.as_deref();
            let is_known = resolution
                .is_none_or(|wanted| outputs.iter().any(|output| output.resolution.eq_ignore_ascii_case(wanted)));
            let size = price.when.size.as_deref();
            let has_size = size.is_none_or(|wanted| outputs.iter().any(|output| output.size.to_string() == wanted));
            assert!(is_known && has_size, "{provider}: {price:?}");
        }
    }
}

#[test]
fn list_price_applies_at_the_vendor_and_nowhere_else() {
    let at = |base_url: &str| {
        let settings = settings(&OPENAI_CHAT.replace("https://api.openai.com/v1", base_url));
        origin_and_cost(&settings, "gpt-4o", &Attributes::default())
    };
    let (origin, cost) = at("https://api.openai.com/v1");
    assert!(matches!(origin, PriceOrigin::Shipped { source, .. } if source.contains("openai.com")), "{origin:?}");
    assert_eq!(cost, usd("12.5"));
    assert_eq!(at("https://API.openai.com:443/v1").1, usd("12.5"));
    for elsewhere in [
        "http://127.0.0.1:8080/v1",
        "https://eu.api.openai.com/v1",
        "https://api.openai.com.example.com/v1",
        "https://api.openai.com:8443/v1",
        "http://api.openai.com/v1",
    ] {
        assert_eq!(at(elsewhere), (PriceOrigin::None, None), "{elsewhere}");
    }
}

#[test]
fn price_of_the_settings_replaces_all_list_prices_of_its_model() {
    let own = settings(&format!(
        "prices = [{{ model = \"gpt-4o*\", per_million_input_tokens = \"1\" }}]\n{OPENAI_CHAT}models = [\"o3\"]"
    ));
    assert_eq!(origin_and_cost(&own, "gpt-4o", &Attributes::default()), (PriceOrigin::Configured, usd("1")));
    assert_eq!(chat_cost(&own, "o3"), usd("10"));
    let off = settings(&format!("shipped_prices = false\n{OPENAI_CHAT}"));
    assert_eq!(origin_and_cost(&off, "gpt-4o", &Attributes::default()), (PriceOrigin::None, None));
}

#[test]
fn chat_model_has_a_list_price_only_if_all_of_its_upstreams_have_the_same() {
    let upstream = |name: &str, base_url: &str, upstream_model: &str| Upstream {
        name: name.to_owned(),
        base_url: base_url.parse().ok(),
        models: vec!["fast".to_owned(), "deep".to_owned()],
        rename: [("fast".to_owned(), upstream_model.to_owned()), ("deep".to_owned(), "o3".to_owned())].into(),
        ..Upstream::default()
    };
    let openai = "https://api.openai.com/v1";
    let cost = |second: Upstream, fallbacks: &[&str]| {
        let mut settings = Settings::default();
        settings.chat.model = "fast".to_owned();
        settings.chat.upstreams = vec![upstream("one", openai, "gpt-4o-mini"), second];
        let fallbacks = fallbacks.iter().map(|&name| name.to_owned()).collect();
        settings.chat.routes = vec![RouteRule { model: "fast".to_owned(), fallbacks, ..RouteRule::default() }];
        settings.validate().unwrap();
        chat_cost(&settings, "fast")
    };
    assert_eq!(cost(upstream("two", openai, "gpt-4o-mini"), &[]), usd("0.75"));
    assert_eq!(cost(upstream("two", openai, "gpt-4o"), &[]), None);
    assert_eq!(cost(upstream("two", "http://10.0.0.7/v1", "gpt-4o-mini"), &[]), None);
    assert_eq!(cost(upstream("two", openai, "gpt-4o-mini"), &["deep"]), None);
}

#[test]
fn model_that_is_passed_through_has_the_price_of_its_name() {
    let settings = settings(&format!("{OPENAI_CHAT}models = [\"gpt-*\"]"));
    let price = |model| {
        let names = ModelNames { public: model, upstream: model, provider: "upstream" };
        let prices = PriceTable::of(&settings).of_model(Modality::Chat, names);
        prices.highest(&Attributes::default(), |_| Quantities { input_tokens: 1_000_000, ..Quantities::default() })
    };
    assert_eq!(price("gpt-5-mini").map(|(_, cost)| cost), usd("0.25"));
    assert!(price("gpt-unknown").is_none());
}

#[test]
fn image_price_depends_on_the_resolution_and_is_the_highest_if_that_is_unknown() {
    let settings = settings("[image.nano_banana]\napi_key = \"k\"");
    let cost = |model: &str, resolution: Option<&str>| {
        let attributes = Attributes { resolution: resolution.map(str::to_owned), ..Attributes::default() };
        origin_and_cost(&settings, model, &attributes).1
    };
    assert_eq!(cost("gemini-3-pro-image", Some("2K")), usd("0.134"));
    assert_eq!(cost("gemini-3-pro-image", Some("4K")), usd("0.24"));
    assert_eq!(cost("gemini-3-pro-image", None), usd("0.24"));
    assert_eq!(cost("gemini-2.5-flash-image", None), usd("0.039"));
}

#[test]
fn video_request_that_the_list_does_not_describe_has_no_price() {
    let settings = settings("[video.openai]\napi_key = \"k\"");
    let cost = |size: &str, operation: &'static str| {
        let attributes = Attributes { size: size.parse().ok(), operation: Some(operation), ..Attributes::default() };
        origin_and_cost(&settings, "sora-2-pro", &attributes).1
    };
    assert_eq!(cost("720x1280", "generate"), usd("3"));
    assert_eq!(cost("1792x1024", "generate"), usd("5"));
    assert_eq!(cost("1920x1080", "generate"), None);
    assert_eq!(cost("1280x720", "edit"), None);
}
