//! The spellings of base64 that compatible upstreams use.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::json;

use super::{GENERATIONS, configure, decoded, json_body};
use crate::{fake_upstream::Reply, test_server::with_local_and_remote_core_and_settings};

/// Returns a PNG whose base64 has the characters in which the alphabets differ.
fn picture() -> Vec<u8> {
    let byte = |value: u32| u8::try_from(value % 256).unwrap();
    let picture = image::RgbImage::from_fn(64, 40, |x, y| image::Rgb([byte(x * 7), byte(y * 11), byte(x * y)]));
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

#[tokio::test]
async fn image_in_any_spelling_of_base64_is_delivered() {
    let picture = picture();
    let plain = STANDARD.encode(&picture);
    // The two characters that the URL-safe alphabet replaces.
    assert!(plain.contains('+') && plain.contains('/'));
    // The line length of MIME.
    let lines = plain.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>();
    let spellings = [
        lines.join("\n"),
        lines.join("\r\n") + "\r\n",
        STANDARD_NO_PAD.encode(&picture),
        URL_SAFE.encode(&picture),
        URL_SAFE_NO_PAD.encode(&picture),
        format!("data:image/png;base64,{plain}"),
        format!("DATA:image/png;name=a.png;base64,{}", URL_SAFE.encode(&picture)),
    ];
    with_local_and_remote_core_and_settings(configure, async |server| {
        for b64_json in &spellings {
            let reply = json!({"created": 7, "data": [{"b64_json": b64_json}]});
            server.upstream.enqueue_at(GENERATIONS, Reply::new(200, &reply.to_string()));
            let body = json!({"model": "local", "prompt": "x", "size": "64x40", "response_format": "b64_json"});
            let response = json_body(server.post(GENERATIONS, &body).await).await;
            assert!(decoded(&response["data"][0]) == picture, "{b64_json:.90}");
            server.upstream.received().await;
        }
    })
    .await;
}
