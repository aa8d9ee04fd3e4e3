//! Draws a set of sample pictures: `cargo run --release -p offline-image --example gallery -- DIRECTORY [FILTER]`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use offline_image::{Format, ImageRequest, Quality, encode, paint};

const PROMPTS: [&str; 31] = [
    "A beautiful sunset over mountains",
    "A cute cat",
    "Mountain landscape",
    "Portrait photo",
    "A futuristic city",
    "Professional portrait photo",
    "山间日出，水墨风格",
    "一只可爱的猫在窗边",
    "海边的灯塔 夜晚",
    "a red vintage car on a desert road",
    "an astronaut riding a bicycle on the moon",
    "cherry blossoms by a pagoda at dusk",
    "a sailboat on a calm sea at sunset",
    "northern lights over a snowy lake",
    "a misty forest in the morning",
    "a field of flowers on a sunny day",
    "koi fish underwater",
    "a cup of coffee on a table",
    "a rocket in outer space",
    "a small house in the snow, watercolor",
    "a castle in a storm, oil painting",
    "pixel art city at night",
    "hot air balloons over dunes at dawn",
    "a happy dog in the park",
    "一朵红色的玫瑰",
    "a cute robot",
    "neon cyberpunk street in the rain",
    "abstract composition",
    "minimalist mountains, teal",
    "quarterly planning",
    "a rover on mars",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: gallery DIRECTORY [FILTER]")?);
    let filter = arguments.next();
    std::fs::create_dir_all(&directory)?;
    let mut jobs: Vec<(String, ImageRequest)> = PROMPTS
        .iter()
        .enumerate()
        .map(|(index, prompt)| (format!("{index:02}"), request(prompt, (1024, 1024), Quality::Standard)))
        .collect();
    // Some prompts again in other sizes, qualities and with transparency: `index` is their place in `PROMPTS`.
    for (index, size) in [
        (0, (1792, 1024)),
        (7, (1024, 1792)),
        (8, (1792, 1024)),
        (1, (256, 256)),
        (11, (1024, 1792)),
        (4, (1792, 1024)),
    ] {
        jobs.push((format!("{index:02}-{}x{}", size.0, size.1), request(PROMPTS[index], size, Quality::Standard)));
    }
    for index in [1, 2, 11] {
        jobs.push((format!("{index:02}-high"), request(PROMPTS[index], (1024, 1024), Quality::High)));
    }
    jobs.push((
        "01-transparent".to_owned(),
        ImageRequest { transparent: true, ..request(PROMPTS[1], (1024, 1024), Quality::Standard) },
    ));
    for (name, request) in
        jobs.iter().filter(|(name, _)| filter.as_ref().is_none_or(|wanted| name.starts_with(wanted.as_str())))
    {
        let start = Instant::now();
        // `()` is the observer that neither wants previews nor cancels.
        let picture = paint(request, &())?;
        let elapsed = start.elapsed();
        let file = directory.join(format!("{name}.png"));
        std::fs::write(&file, encode(&picture, Format::Png)?)?;
        println!("{} drawn in {elapsed:.0?}: {}", file.display(), request.prompt);
    }
    Ok(())
}

fn request(prompt: &str, (width, height): (u32, u32), quality: Quality) -> ImageRequest {
    ImageRequest { prompt: prompt.to_owned(), width, height, quality, ..ImageRequest::default() }
}
