//! Tables of requested sizes and the native sizes chosen for them, with the sizes of real models.

use super::*;

fn size(text: &str) -> Size {
    text.parse().unwrap()
}

#[test]
fn closest_picks_the_smallest_covering_size_of_a_close_ratio() {
    let dall_e_2 = ["256x256", "512x512", "1024x1024"];
    let dall_e_3 = ["1024x1024", "1792x1024", "1024x1792"];
    let gpt_image = ["1024x1024", "1536x1024", "1024x1536"];
    #[rustfmt::skip]
    let table = [
        (dall_e_2, "256x256", "256x256"), (dall_e_2, "257x100", "512x512"), (dall_e_2, "2000x10", "1024x1024"),
        (dall_e_3, "512x512", "1024x1024"), (dall_e_3, "1536x1024", "1792x1024"), (dall_e_3, "1024x1536", "1024x1792"),
        (dall_e_3, "256x512", "1024x1792"), (dall_e_3, "1920x1080", "1792x1024"), (dall_e_3, "1030x1020", "1792x1024"),
        (gpt_image, "1792x1024", "1536x1024"), (gpt_image, "1024x1024", "1024x1024"), (gpt_image, "512x768", "1024x1536"),
        (gpt_image, "4096x4096", "1024x1024"), (gpt_image, "1000x990", "1024x1024"),
    ];
    for (list, requested, expected) in table {
        assert_eq!(closest(size(requested), list, size), Some(expected), "{requested} of {list:?}");
    }
    assert_eq!(closest(size("1x1"), [], size), None::<&str>);
}

#[test]
fn closest_picks_the_lowest_covering_tier_of_the_closest_ratio() {
    let rows = [
        (("1:1", "1K"), "1024x1024"),
        (("1:1", "2K"), "2048x2048"),
        (("3:2", "1K"), "1264x848"),
        (("3:2", "2K"), "2528x1696"),
        (("16:9", "1K"), "1376x768"),
        (("16:9", "2K"), "2752x1536"),
        (("16:9", "4K"), "5504x3072"),
    ];
    #[rustfmt::skip]
    let table = [
        ("1024x1024", ("1:1", "1K")), ("256x256", ("1:1", "1K")), ("1025x1025", ("1:1", "2K")), ("1792x1024", ("16:9", "2K")),
        ("1536x1024", ("3:2", "2K")), ("1200x800", ("3:2", "1K")), ("4096x2304", ("16:9", "4K")), ("5504x3072", ("16:9", "4K")),
        ("16384x1024", ("16:9", "4K")), ("1024x576", ("16:9", "1K")),
    ];
    for (requested, expected) in table {
        let row = closest(size(requested), rows, |(_, pixels)| size(pixels)).unwrap();
        assert_eq!(row.0, expected, "{requested}");
    }
}

#[test]
fn ratio_is_reduced_and_nearest_treats_wide_and_tall_alike() {
    for (requested, exact, nearest) in [
        ("1792x1024", "7:4", "16:9"),
        ("1024x1792", "4:7", "9:16"),
        ("1024x1024", "1:1", "1:1"),
        ("1536x1024", "3:2", "3:2"),
        ("4096x16", "256:1", "21:9"),
        ("16x4096", "1:256", "9:16"),
        ("1023x1024", "1023:1024", "1:1"),
    ] {
        let known = [(1, 1), (2, 3), (3, 2), (9, 16), (16, 9), (21, 9)].map(|(w, h)| Ratio::new(w, h));
        assert_eq!(Ratio::from_size(size(requested)).to_string(), exact);
        assert_eq!(Ratio::nearest(size(requested), known).unwrap().to_string(), nearest, "{requested}");
    }
}

#[test]
fn window_keeps_the_ratio_and_covers_the_size_within_its_limits() {
    let seedream_4_5 = Window { area: (3_686_400, 16_777_216), side: (240, 6000), step: 1, ratio: 16.0 };
    let seedream_3 = Window { area: (512 * 512, 2048 * 2048), side: (512, 2048), step: 1, ratio: 4.0 };
    let gpt_image_2 = Window { area: (655_360, 8_294_400), side: (16, 3840), step: 16, ratio: 3.0 };
    #[rustfmt::skip]
    let table = [
        (seedream_4_5, "1792x1024", "2688x1536"), (seedream_4_5, "1024x1792", "1536x2688"), (seedream_4_5, "1536x1024", "2496x1664"),
        (seedream_4_5, "1024x1024", "1920x1920"), (seedream_4_5, "4096x4096", "4096x4096"), (seedream_4_5, "4000x3000", "4000x3000"),
        (seedream_3, "256x256", "512x512"), (seedream_3, "1024x1024", "1024x1024"), (seedream_3, "1792x1024", "1792x1024"),
        (seedream_3, "4096x4096", "2048x2048"), (seedream_3, "4096x1024", "2048x512"), (seedream_3, "2048x256", "2048x512"),
        (gpt_image_2, "1024x1024", "1024x1024"), (gpt_image_2, "1000x1000", "1008x1008"), (gpt_image_2, "512x512", "832x832"),
        (gpt_image_2, "4096x16", "3840x1280"), (gpt_image_2, "3840x2160", "3840x2160"), (gpt_image_2, "4096x2304", "3840x2160"),
        (seedream_4_5, "5404x3040", "5404x3040"), (seedream_4_5, "5504x3072", "5482x3060"), (gpt_image_2, "16384x1024", "3840x1280"),
    ];
    for (window, requested, expected) in table {
        assert_eq!(window.size(size(requested)), size(expected), "{requested} in {window:?}");
    }
}

#[test]
fn window_size_is_always_within_the_limits() {
    // The window of `gpt-image-2`. The steps below are odd, so that the sizes have many different ratios.
    let window = Window { area: (655_360, 8_294_400), side: (16, 3840), step: 16, ratio: 3.0 };
    for width in (16..=16_384).step_by(197) {
        for height in (16..=16_384).step_by(189) {
            let native = window.size(Size::new(width, height));
            let area = u64::from(native.width) * u64::from(native.height);
            assert!((655_360..=8_294_400).contains(&area), "{width}x{height}: {native}");
            assert!(native.width.is_multiple_of(16) && native.height.is_multiple_of(16), "{width}x{height}: {native}");
            assert!(native.width.max(native.height) <= 3840, "{width}x{height}: {native}");
        }
    }
}
