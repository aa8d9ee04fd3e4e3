//! Draws one prompt: `cargo run --release -p offline-image --example paint -- FILE.png PROMPT [WIDTH HEIGHT [low|high]]`.

use std::error::Error;
use std::time::Instant;

use offline_image::{Format, ImageRequest, Quality, encode, paint};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, prompt, size @ ..] = &arguments[..] else {
        return Err("usage: paint FILE.png PROMPT [WIDTH HEIGHT [low|high]]".into());
    };
    let (width, height) = match size {
        [width, height, ..] => (width.parse()?, height.parse()?),
        _ => (1024, 1024),
    };
    let quality = match size.get(2).map(String::as_str) {
        Some("low") => Quality::Low,
        Some("high") => Quality::High,
        _ => Quality::Standard,
    };
    let start = Instant::now();
    // `()` is the observer that neither wants previews nor cancels.
    let picture =
        paint(&ImageRequest { prompt: prompt.clone(), width, height, quality, ..ImageRequest::default() }, &())?;
    println!("drawn in {:.0?}", start.elapsed());
    std::fs::write(file, encode(&picture, Format::Png)?)?;
    println!("{file}");
    Ok(())
}
