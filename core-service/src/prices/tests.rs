//! Tests of the table of prices.

use super::*;
use crate::usd::Usd;

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

fn per_second(model: &str, when: PriceConditions, amount: &str) -> Price {
    Price { model: model.to_owned(), when, per_second: Some(usd(amount)), ..Price::default() }
}

fn names<'a>(public: &'a str, upstream: &'a str) -> ModelNames<'a> {
    ModelNames { public, upstream, provider: "p" }
}

fn seconds(count: u64) -> impl Fn(&Price) -> Quantities {
    move |_| Quantities { video_millis: count * 1000, ..Quantities::default() }
}

#[test]
fn built_in_engines_are_free_unless_a_price_is_configured() {
    let names = ModelNames { public: "any", upstream: "any", provider: "offline" };
    let offline = PriceTable::default().of_model(Modality::Video, names);
    assert_eq!(offline.highest(&Attributes::default(), seconds(5)).unwrap().1, Usd::ZERO);
    let configured = PriceTable::new(&[per_second("any", PriceConditions::default(), "1")]);
    let configured = configured.of_model(Modality::Video, names);
    assert_eq!(configured.highest(&Attributes::default(), seconds(5)).unwrap().1, usd("5"));
}

#[test]
fn first_price_whose_conditions_are_met_applies() {
    let audio =
        PriceConditions { audio: Some(true), resolution: Some("1080p".to_owned()), ..PriceConditions::default() };
    let table =
        PriceTable::new(&[per_second("film*", audio, "0.40"), per_second("film*", PriceConditions::default(), "0.10")]);
    let prices = table.of_model(Modality::Video, names("films", "x"));
    let amount = |resolution: &str, audio| {
        let attributes = Attributes { resolution: Some(resolution.to_owned()), audio, ..Attributes::default() };
        prices.highest(&attributes, seconds(10)).unwrap().1
    };
    assert_eq!(amount("1080P", Some(true)), usd("4"));
    assert_eq!(amount("1080p", Some(false)), usd("1"));
    assert_eq!(amount("720p", Some(true)), usd("1"));
    // The higher of the two, because the model may add a sound track.
    assert_eq!(amount("1080p", None), usd("4"));
    assert!(table.of_model(Modality::Video, names("other", "y")).is_empty());
}

#[test]
fn prices_match_public_and_upstream_names_and_the_provider() {
    let mut price = per_second("up-1", PriceConditions::default(), "1");
    let matches = |price: &Price, public, upstream| {
        !PriceTable::new(std::slice::from_ref(price)).of_model(Modality::Video, names(public, upstream)).is_empty()
    };
    assert!(matches(&price, "public", "up-1"));
    assert!(matches(&price, "up-1", "other"));
    price.provider = "p".to_owned();
    assert!(matches(&price, "public", "up-1"));
    price.provider = "q".to_owned();
    assert!(!matches(&price, "public", "up-1"));
}

#[test]
fn sizes_match_in_both_orientations() {
    let when = PriceConditions { size: Some("1536x1024".to_owned()), ..PriceConditions::default() };
    let table = PriceTable::new(&[per_second("m", when, "1")]);
    let prices = table.of_model(Modality::Video, names("m", "m"));
    let has_price = |width, height| {
        let attributes = Attributes { size: Some(Size::new(width, height)), ..Attributes::default() };
        prices.highest(&attributes, seconds(1)).is_some()
    };
    assert!(has_price(1536, 1024) && has_price(1024, 1536));
    assert!(!has_price(1024, 1024));
}

#[test]
fn cost_has_cached_tokens_at_their_own_price() {
    let price = Price {
        per_million_input_tokens: Some(usd("2")),
        per_million_cached_tokens: Some(usd("0.5")),
        per_million_output_tokens: Some(usd("8")),
        ..Price::default()
    };
    let used =
        Quantities { input_tokens: 1_000_000, cached_tokens: 400_000, output_tokens: 500_000, ..Quantities::default() };
    assert_eq!(cost(&price, &used), usd("5.4"));
    let without = Price { per_million_cached_tokens: None, ..price };
    assert_eq!(cost(&without, &used), usd("6"));
}

#[test]
fn price_without_an_amount_for_a_modality_does_not_apply_to_it() {
    let price = |set: fn(&mut Price, Option<Usd>)| {
        let mut price = Price { model: "m".to_owned(), ..Price::default() };
        set(&mut price, Some(usd("1")));
        price
    };
    for (price, expected) in [
        (price(|price, amount| price.per_million_output_tokens = amount), [true, true, false]),
        (price(|price, amount| price.per_image = amount), [false, true, false]),
        (price(|price, amount| price.per_second = amount), [false, false, true]),
        (price(|price, amount| price.per_call = amount), [true, true, true]),
    ] {
        let table = PriceTable::new(std::slice::from_ref(&price));
        let applies = [Modality::Chat, Modality::Image, Modality::Video]
            .map(|modality| !table.of_model(modality, names("m", "m")).is_empty());
        assert_eq!(applies, expected, "{price:?}");
    }
}
