//! Size, format and delivery of images.

use super::*;

#[tokio::test]
async fn linked_image_is_stored_and_equal_requests_return_equal_images() {
    let test = offline();
    let image = pb::ImageRequest { delivery: pb::ImageDelivery::Unspecified.into(), ..small() };
    let first = test.generate(image.clone()).await.unwrap();
    let second = test.generate(image).await.unwrap();
    assert_eq!((first.model.as_str(), first.pictures.len()), ("offline-image", 1));
    assert_eq!(first.pictures, second.pictures);
    let picture = &first.pictures[0];
    assert!(picture.data.is_empty());
    // 1 << 20 is the most bytes to read, here and below.
    let stored = test.media_store.bytes(&MediaKey::parse(&picture.media_key).unwrap(), 1 << 20).await.unwrap();
    assert_eq!(image::load_from_memory(&stored).unwrap().into_rgba8().dimensions(), (48, 32));
}

#[tokio::test]
async fn images_have_the_requested_size_and_format() {
    let test = offline();
    for (output_format, media_type, format) in [
        ("png", "image/png", ImageFormat::Png),
        ("jpeg", "image/jpeg", ImageFormat::Jpeg),
        ("webp", "image/webp", ImageFormat::WebP),
    ] {
        let image = pb::ImageRequest { output_format: output_format.to_owned(), size: "333x77".to_owned(), ..small() };
        let picture = test.generate(image).await.unwrap().pictures.remove(0);
        assert_eq!((picture.media_type.as_str(), picture.width, picture.height), (media_type, 333, 77));
        assert_eq!(image::guess_format(&picture.data).unwrap(), format);
        assert_eq!(image::load_from_memory(&picture.data).unwrap().into_rgba8().dimensions(), (333, 77));
        assert!(picture.media_key.is_empty());
    }
}

#[tokio::test]
async fn images_of_one_request_differ_and_the_first_equals_a_single_one() {
    let test = offline();
    let pictures = test.generate(pb::ImageRequest { n: Some(3), ..small() }).await.unwrap().pictures;
    let single = test.generate(small()).await.unwrap().pictures;
    assert_eq!(pictures.len(), 3);
    assert_eq!(pictures[0], single[0]);
    assert!(pictures[0].data != pictures[1].data && pictures[1].data != pictures[2].data);
}

#[tokio::test]
async fn edit_keeps_the_size_and_the_masked_area() {
    let test = offline();
    let before = picture(60, 40, |_, _| 255);
    let mask = picture(60, 40, |x, _| if x < 30 { 255 } else { 0 });
    let edit = pb::ImageRequest {
        size: String::new(),
        pictures: vec![input(before.clone())],
        mask: Some(input(mask)),
        ..small()
    };
    let picture = test.generate(edit).await.unwrap().pictures.remove(0);
    let (before, after) =
        [&before, &picture.data].map(|bytes| image::load_from_memory(bytes).unwrap().into_rgba8()).into();
    assert_eq!(after.dimensions(), (60, 40));
    let same = |from: u32, to: u32| {
        (from..to)
            .flat_map(|x| (0..40).map(move |y| (x, y)))
            .all(|(x, y)| before.get_pixel(x, y) == after.get_pixel(x, y))
    };
    assert!(same(0, 30) && !same(30, 60));
}

#[tokio::test]
async fn image_of_any_native_size_and_format_is_converted() {
    let large = picture(640, 400, |_, _| 255);
    let event = ImageEvent::Finished { index: 0, picture: large.clone(), revised_prompt: "more".to_owned() };
    let (test, _) = scripted(vec![event], End::Closes);
    let image = pb::ImageRequest { output_format: "jpeg".to_owned(), keep_original: true, ..small() };
    let picture = test.generate(image).await.unwrap().pictures.remove(0);
    assert_eq!((picture.media_type.as_str(), picture.width, picture.height), ("image/jpeg", 48, 32));
    assert_eq!(image::load_from_memory(&picture.data).unwrap().into_rgb8().dimensions(), (48, 32));
    assert_eq!(picture.revised_prompt, "more");
    let original = MediaKey::parse(&picture.original_media_key).unwrap();
    assert_eq!(test.media_store.bytes(&original, 1 << 20).await.unwrap(), large);
}

#[tokio::test]
async fn images_beyond_the_message_size_are_delivered_as_links() {
    let (mut test, _) = scripted((0..3).map(finished).collect(), End::Closes);
    // Enough for two images, as a quarter of a message is reserved for its other fields.
    test.service = test.service.clone().with_max_message_bytes(numbered(0).len() * 3);
    let pictures = test.generate(pb::ImageRequest { n: Some(3), ..small() }).await.unwrap().pictures;
    assert!(pictures[..2].iter().zip(0..).all(|(picture, index)| picture.data == numbered(index)));
    let [_, _, last] = &pictures[..] else { panic!("{} pictures", pictures.len()) };
    assert_eq!((last.data.len(), last.media_type.as_str(), last.width), (0, "image/png", 48));
    let stored = test.media_store.bytes(&MediaKey::parse(&last.media_key).unwrap(), 1 << 20).await.unwrap();
    assert_eq!(stored, numbered(2));
}
