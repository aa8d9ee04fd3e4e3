//! Pictures as they were asked for.

use super::*;

#[tokio::test]
async fn a_linked_picture_is_kept_and_is_the_same_the_second_time() {
    let stage = offline();
    let image = pb::ImageRequest { delivery: pb::ImageDelivery::Unspecified.into(), ..small() };
    let first = stage.generate(image.clone()).await.unwrap();
    let second = stage.generate(image).await.unwrap();
    assert_eq!((first.model.as_str(), first.pictures.len()), ("offline-image", 1));
    assert_eq!(first.pictures, second.pictures);
    let made = &first.pictures[0];
    assert!(made.data.is_empty());
    let kept = stage.media_store.bytes(&MediaKey::parse(&made.media_key).unwrap(), 1 << 20).await.unwrap();
    assert_eq!(image::load_from_memory(&kept).unwrap().into_rgba8().dimensions(), (48, 32));
}

#[tokio::test]
async fn pictures_have_exactly_the_size_and_format_asked_for() {
    let stage = offline();
    for (word, media_type, format) in [
        ("png", "image/png", ImageFormat::Png),
        ("jpeg", "image/jpeg", ImageFormat::Jpeg),
        ("webp", "image/webp", ImageFormat::WebP),
    ] {
        let image = pb::ImageRequest { output_format: word.to_owned(), size: "333x77".to_owned(), ..small() };
        let made = stage.generate(image).await.unwrap().pictures.remove(0);
        assert_eq!((made.media_type.as_str(), made.width, made.height), (media_type, 333, 77));
        assert_eq!(image::guess_format(&made.data).unwrap(), format);
        assert_eq!(image::load_from_memory(&made.data).unwrap().into_rgba8().dimensions(), (333, 77));
        assert!(made.media_key.is_empty());
    }
}

#[tokio::test]
async fn several_pictures_differ_and_the_first_is_the_single_one() {
    let stage = offline();
    let made = stage.generate(pb::ImageRequest { n: Some(3), ..small() }).await.unwrap().pictures;
    let single = stage.generate(small()).await.unwrap().pictures;
    assert_eq!(made.len(), 3);
    assert_eq!(made[0], single[0]);
    assert!(made[0].data != made[1].data && made[1].data != made[2].data);
}

#[tokio::test]
async fn an_edit_keeps_the_size_and_what_the_mask_covers() {
    let stage = offline();
    let before = picture(60, 40, |_, _| 255);
    let mask = picture(60, 40, |x, _| if x < 30 { 255 } else { 0 });
    let edit = pb::ImageRequest {
        size: String::new(),
        pictures: vec![input(before.clone())],
        mask: Some(input(mask)),
        ..small()
    };
    let made = stage.generate(edit).await.unwrap().pictures.remove(0);
    let (before, after) =
        [&before, &made.data].map(|bytes| image::load_from_memory(bytes).unwrap().into_rgba8()).into();
    assert_eq!(after.dimensions(), (60, 40));
    let same = |from: u32, to: u32| {
        (from..to)
            .flat_map(|x| (0..40).map(move |y| (x, y)))
            .all(|(x, y)| before.get_pixel(x, y) == after.get_pixel(x, y))
    };
    assert!(same(0, 30) && !same(30, 60));
}

#[tokio::test]
async fn whatever_size_and_format_a_provider_makes_the_caller_gets_what_was_asked_for() {
    let large = picture(640, 400, |_, _| 255);
    let event = ImageEvent::Finished { index: 0, picture: large.clone(), revised_prompt: "more".to_owned() };
    let (stage, _) = scripted(vec![event], false);
    let image = pb::ImageRequest { output_format: "jpeg".to_owned(), keep_original: true, ..small() };
    let made = stage.generate(image).await.unwrap().pictures.remove(0);
    assert_eq!((made.media_type.as_str(), made.width, made.height), ("image/jpeg", 48, 32));
    assert_eq!(image::load_from_memory(&made.data).unwrap().into_rgb8().dimensions(), (48, 32));
    assert_eq!(made.revised_prompt, "more");
    let original = MediaKey::parse(&made.original_media_key).unwrap();
    assert_eq!(stage.media_store.bytes(&original, 1 << 20).await.unwrap(), large);
}

#[tokio::test]
async fn bytes_that_the_message_does_not_take_any_more_are_handed_over_by_their_keys() {
    let (mut stage, _) = scripted((0..3).map(finished).collect(), false);
    // Room for two, since a quarter is kept free.
    stage.door = stage.door.clone().with_messages_of(numbered(0).len() * 3);
    let made = stage.generate(pb::ImageRequest { n: Some(3), ..small() }).await.unwrap().pictures;
    assert!(made[..2].iter().zip(0..).all(|(picture, index)| picture.data == numbered(index)));
    let [_, _, last] = &made[..] else { panic!("{} pictures", made.len()) };
    assert_eq!((last.data.len(), last.media_type.as_str(), last.width), (0, "image/png", 48));
    let kept = stage.media_store.bytes(&MediaKey::parse(&last.media_key).unwrap(), 1 << 20).await.unwrap();
    assert_eq!(kept, numbered(2));
}
