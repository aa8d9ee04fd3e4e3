//! Tests of usage, budgets and estimates in front of a [`CoreStub`].

use http::{Request, header};
use serde_json::json;
use triptych_proto::v1 as pb;

use crate::testing::{CoreStub, get, multipart, post, send};

#[tokio::test]
async fn query_of_usage_becomes_the_message_and_the_response_is_a_list() {
    let core = CoreStub::default();
    let path = "/v1/usage?start_date=2026-11-01&end_date=2026-11-28&group_by=day,model&key=&model=m&limit=5";
    let response = send(&core, get(path)).await;
    let expected = json!({
        "object": "list", "start_date": "2026-11-01", "end_date": "2026-11-28", "has_more": false,
        "data": [{
            "object": "usage", "day": "2026-11-28", "key": null, "team": null, "modality": "video", "model": "m",
            "calls": 3, "errors": 1, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0,
            "images": 0, "video_seconds": 4.5, "cost": "0.45", "cost_micros": 450_000
        }]
    });
    assert_eq!((response.status.as_u16(), response.json()), (200, expected));
    let request = pb::ListUsageRequest {
        first_day: "2026-11-01".to_owned(),
        last_day: "2026-11-28".to_owned(),
        group_by: vec![pb::UsageGroup::Day.into(), pb::UsageGroup::Model.into()],
        key: Some(String::new()),
        model: "m".to_owned(),
        max_rows: Some(5),
    };
    assert_eq!(core.list_usage_request(), request);
}

#[tokio::test]
async fn invalid_parameters_of_usage_are_refused_by_name() {
    for (query, param) in [
        ("group_by=day,week", "group_by"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("format=xml", "format"),
    ] {
        let response = send(&CoreStub::default(), get(&format!("/v1/usage?{query}"))).await;
        assert_eq!(response.error(), (400, Some(param.to_owned()), "invalid_field".to_owned()), "{query}");
    }
    let core = CoreStub::default();
    core.fail_every_call("INVALID_FIELD", tonic::Code::InvalidArgument, Some("first_day"));
    let response = send(&core, get("/v1/usage?start_date=x")).await;
    assert_eq!(response.error(), (400, Some("start_date".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn usage_is_csv_by_parameter_or_by_accept_header() {
    let accepting =
        Request::get("/v1/usage").header("host", "gateway.test").header(header::ACCEPT, "text/csv;q=0.9, */*");
    let accepting = accepting.body(axum::body::Body::empty()).unwrap();
    for request in [get("/v1/usage?format=csv"), accepting] {
        let core = CoreStub::default();
        let response = send(&core, request).await;
        assert_eq!(response.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
        assert_eq!(response.header("content-disposition"), Some("attachment; filename=\"usage.csv\""));
        assert!(response.text().ends_with("\r\n2026-11-28,,,video,m,3,1,0,0,0,0,0,4.5,0.45,450000\r\n"));
        assert_eq!(core.list_usage_request().max_rows, Some(10_000));
    }
    let browser =
        Request::get("/v1/usage?format=json").header("host", "gateway.test").header(header::ACCEPT, "text/csv");
    let response = send(&CoreStub::default(), browser.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn csv_that_would_be_incomplete_is_refused_unless_a_limit_is_requested() {
    let core = CoreStub::default();
    core.truncate_usage();
    let response = send(&core, get("/v1/usage?format=csv")).await;
    assert_eq!(response.error(), (400, Some("start_date".to_owned()), "invalid_field".to_owned()));
    assert_eq!(send(&core, get("/v1/usage?format=csv&limit=1")).await.status, 200);
    assert_eq!(send(&core, get("/v1/usage")).await.json()["has_more"], true);
}

#[tokio::test]
async fn budgets_have_amounts_as_text_and_as_integers() {
    let response = send(&CoreStub::default(), get("/v1/budgets")).await;
    let budget = json!({
        "object": "budget", "kind": "team", "name": "research", "period": "month", "limit": "10.00",
        "limit_micros": 10_000_000, "spent": "2.50", "spent_micros": 2_500_000, "reserved": "0.40",
        "reserved_micros": 400_000, "remaining": "7.10", "remaining_micros": 7_100_000
    });
    assert_eq!(response.json(), json!({"object": "list", "data": [budget]}));
}

#[tokio::test]
async fn estimate_of_a_video_accepts_both_forms_of_the_create() {
    let json = json!({"model": "m", "prompt": "a fox", "seconds": "3", "resolution": "720p"});
    let fields =
        [("model", None, "m"), ("prompt", None, "a fox"), ("seconds", None, "3"), ("resolution", None, "720p")];
    for request in [post("/v1/estimate/videos", &json), multipart("/v1/estimate/videos", &fields)] {
        let core = CoreStub::default();
        let response = send(&core, request).await;
        let expected = json!({
            "object": "video.estimate", "model": "m", "cost": "0.40", "cost_micros": 400_000, "price_version": "a1b2c3",
            "size": "1280x720", "seconds": "4", "resolution": "720p", "aspect_ratio": null, "generate_audio": null,
            "video_input": false, "adjustments": [{"field": "seconds", "requested": "3", "used": "4"}],
            "frame_size_unknown": false
        });
        assert_eq!((response.status.as_u16(), response.json()), (200, expected));
        let request = core.create_video_request();
        assert_eq!((request.duration_seconds, request.resolution.as_str()), (Some(3), "720p"));
    }
}

#[tokio::test]
async fn estimate_of_images_accepts_the_bodies_of_generations_and_edits() {
    let json = json!({"model": "m", "prompt": "a fox", "n": 2, "quality": "high"});
    let fields =
        [("prompt", None, "a fox"), ("n", None, "2"), ("quality", None, "high"), ("image", Some("a.png"), "png")];
    for (request, pictures) in [(post("/v1/estimate/images", &json), 0), (multipart("/v1/estimate/images", &fields), 1)]
    {
        let core = CoreStub::default();
        let response = send(&core, request).await;
        let expected = json!({
            "object": "image.estimate", "model": "m", "cost": "0.40", "cost_micros": 400_000, "price_version": "a1b2c3",
            "n": 2, "size": "auto", "quality": "high"
        });
        assert_eq!((response.status.as_u16(), response.json()), (200, expected));
        let request = core.image_request();
        assert_eq!((request.n, request.quality.as_str(), request.pictures.len()), (Some(2), "high", pictures));
    }
}
