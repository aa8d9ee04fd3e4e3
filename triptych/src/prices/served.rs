//! The prices of the served models, for `triptych check`.

use std::fmt;

use core_service::{
    config::{Price, PriceConditions, Settings},
    prices::{self, PriceOrigin, ServedPrices, served_prices},
    usd::Usd,
};
use triptych_proto::v1::Modality;

/// Writes a line for each price of each model of the connected providers: its conditions, amounts, version and origin. Writes nothing
/// if no provider is connected: the built-in engines are free.
pub(crate) fn write_served(f: &mut impl fmt::Write, settings: &Settings) -> fmt::Result {
    let served = served_prices(settings);
    if served.is_empty() {
        return Ok(());
    }
    let list = if settings.shipped_prices {
        format!("list prices of vendors as of {}", prices::list_version())
    } else {
        "without list prices of vendors (shipped_prices)".to_owned()
    };
    writeln!(f, "\nThe prices in US dollars, {list}:")?;
    for ServedPrices { modality, model, prices, origin } in &served {
        let service = match modality {
            Modality::Chat => "chat",
            Modality::Image => "image",
            Modality::Video => "video",
            Modality::Unspecified => "",
        };
        if prices.is_empty() {
            writeln!(f, "  {service:<6} {model}: none: keys with a budget cannot call it")?;
        }
        for price in prices {
            let (amounts, version) = (amounts(price), prices::version(price));
            write!(f, "  {service:<6} {model}{}: {amounts} ({version}); ", conditions(&price.when))?;
            match origin {
                PriceOrigin::Shipped { source, read } => writeln!(f, "{source}, read {read}")?,
                PriceOrigin::Configured => writeln!(f, "setting `prices`")?,
                PriceOrigin::BuiltIn | PriceOrigin::None => writeln!(f, "built-in engine")?,
            }
        }
    }
    Ok(())
}

/// Returns the conditions of a price, for the end of a model's name; empty without any.
fn conditions(conditions: &PriceConditions) -> String {
    // Destructured, so that a new condition stops the build here.
    let PriceConditions { resolution, size, quality, audio, video_input, operation } = conditions;
    let flag = |flag: &Option<bool>| flag.map(|flag| flag.to_string());
    let all = [
        ("resolution", resolution.clone()),
        ("size", size.clone()),
        ("quality", quality.clone()),
        ("audio", flag(audio)),
        ("video_input", flag(video_input)),
        ("operation", operation.clone()),
    ];
    let met: Vec<_> = all.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))).collect();
    if met.is_empty() { String::new() } else { format!(" with {}", met.join(", ")) }
}

fn amounts(price: &Price) -> String {
    let amount = |amount: Option<Usd>, unit: &str| Some(format!("{} per {unit}", amount?));
    let amounts = [
        amount(price.per_million_input_tokens, "million input tokens"),
        amount(price.per_million_cached_tokens, "million cached tokens"),
        amount(price.per_million_output_tokens, "million output tokens"),
        amount(price.per_image, "image"),
        amount(price.per_second, "second"),
        amount(price.per_call, "call"),
    ];
    amounts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
