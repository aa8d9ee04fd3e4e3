//! The requests that the upstream receives, and the sources of the video: a bucket, the response, another origin.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use core_service::config::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::{
        create, json_body,
        provider_case::{
            CLIP,
            Call::{Cancel, Create, File, Poll},
            FRAME, MP4, request_line,
        },
        wait_until_final, wait_until_rendering,
    },
    BUCKET, COMPLETED, CREATED, DONE, OMNI, STARTED, VEO, enqueue_tokens, model_path, succeeded, with_adjusted_core,
    with_core,
};
use crate::fake_upstream::{FakeUpstream, Reply};

#[tokio::test]
async fn requests_have_the_parameters_of_vertex_ai_and_name_the_bucket() {
    with_core(async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        let body = json!({"model": VEO.model, "prompt": "a boat", "size": "1920x1080", "seconds": 5, "seed": 7,
            "generate_audio": false, "input_reference": STANDARD.encode(&*FRAME), "personGeneration": "allow_adult",
            "storageUri": "gs://other", "sampleCount": 4});
        let image = json!({"bytesBase64Encoded": STANDARD.encode(&*FRAME), "mimeType": "image/png"});
        let expected = json!({"instances": [{"prompt": "a boat", "image": image}],
            "parameters": {"aspectRatio": "16:9", "resolution": "1080p", "durationSeconds": 6, "sampleCount": 1,
                "generateAudio": false, "storageUri": BUCKET, "seed": 7, "personGeneration": "allow_adult"}});
        let received = succeeded(server, &VEO, &[STARTED, DONE, (File, MP4)], &body).await;
        assert_eq!(received[0].json(), expected);
        let name = format!("{}/operations/17", model_path("task-1"));
        assert_eq!(received[1].json(), json!({"operationName": name}));
        let received = succeeded(server, &OMNI, &[CREATED, COMPLETED, (File, MP4)], &OMNI.body()).await;
        let format = json!({"type": "video", "aspect_ratio": "16:9", "resolution": "720p", "duration": "4s",
            "delivery": "uri", "gcs_uri": BUCKET});
        assert_eq!(received[0].json()["response_format"], format);
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_bucket_the_video_is_read_from_another_response() {
    with_adjusted_core(
        |settings| settings.video.vertex.storage_uri.clear(),
        async |server, tokens| {
            enqueue_tokens(tokens, &[("t-1", 3600)]);
            let data = STANDARD.encode(&*CLIP);
            let video = json!({"bytesBase64Encoded": data, "mimeType": "video/mp4"});
            let operation = json!({"name": "o", "done": true, "response": {"videos": [video]}});
            let step = json!({"type": "model_output", "content": [{"type": "video", "data": data}]});
            let interaction = json!({"id": "task-1", "status": "completed", "steps": [step]});
            for (provider, created, done) in [(VEO, "veo-created.json", operation), (OMNI, "created.json", interaction)]
            {
                provider.enqueue(server, "task-1", Create, created);
                for _ in 0..2 {
                    server.upstream.enqueue_at(&provider.line(Poll, "task-1").1, Reply::new(200, &done.to_string()));
                }
                let id = create(server, &provider.body()).await;
                assert_eq!(wait_until_final(server, &id).await["status"], "completed");
                let content = server.request(Method::GET, &format!("/v1/videos/{id}/content")).send().await.unwrap();
                assert!(content.bytes().await.unwrap() == *CLIP, "not the file of the upstream");
                let body = server.upstream.received().await.json();
                assert_eq!(body["parameters"]["storageUri"], Value::Null);
                assert_ne!(body["response_format"]["delivery"], "uri");
                server.upstream.skip_requests(2).await;
            }
            tokens.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn extension_sends_the_file_of_its_source() {
    with_core(async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        for (call, fixture) in [STARTED, DONE, (File, MP4)] {
            VEO.enqueue(server, "task-1", call, fixture);
        }
        let source = create(server, &VEO.body()).await;
        assert_eq!(wait_until_final(server, &source).await["status"], "completed");
        server.upstream.skip_requests(3).await;
        for (call, fixture) in [STARTED, DONE, (File, MP4)] {
            VEO.enqueue(server, "task-1", call, fixture);
        }
        let body = json!({"prompt": "it sails on", "video": {"id": source}, "seconds": 7});
        let extension = json_body(server.post("/v1/videos/extensions", &body).await).await;
        let video = wait_until_final(server, extension["id"].as_str().unwrap()).await;
        assert_eq!(video["status"], "completed", "{video}");
        let video = json!({"bytesBase64Encoded": STANDARD.encode(&*CLIP), "mimeType": "video/mp4"});
        let expected = json!({"instances": [{"prompt": "it sails on", "video": video}],
            "parameters": {"resolution": "720p", "sampleCount": 1, "generateAudio": true, "storageUri": BUCKET}});
        assert_eq!(server.upstream.received().await.json(), expected);
        server.upstream.skip_requests(2).await;
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    with_core(async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        for provider in [OMNI, VEO] {
            server.upstream.enqueue_at(provider.tasks, Reply::new(200, "{\"id\":").abort());
            let id = create(server, &provider.body()).await;
            assert_eq!(wait_until_final(server, &id).await["error"]["code"], "outcome_unknown");
            assert_eq!(request_line(&server.upstream.received().await), format!("post {}", provider.tasks));
            server.upstream.assert_no_request().await;
        }
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn link_to_another_origin_gets_no_token() {
    // The server of the link has a loopback address.
    let adjust = |settings: &mut Settings| settings.media.fetch_private_addresses = true;
    with_adjusted_core(adjust, async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        let elsewhere = FakeUpstream::start().await;
        elsewhere.enqueue(Reply::file("video/mp4", &CLIP));
        OMNI.enqueue(server, "task-1", Create, "created.json");
        let output = json!({"type": "video", "uri": elsewhere.url("/clip.mp4?X-Goog-Signature=1")});
        let completed = json!({"id": "task-1", "status": "completed", "output_video": output});
        server.upstream.enqueue_at(&OMNI.line(Poll, "task-1").1, Reply::new(200, &completed.to_string()));
        let id = create(server, &OMNI.body()).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        let file = elsewhere.received().await;
        assert_eq!((file.path.as_str(), file.header("authorization")), ("/clip.mp4?X-Goog-Signature=1", None));
        server.upstream.skip_requests(2).await;
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn interaction_is_cancelled_and_an_operation_runs_on() {
    // The second poll is far away.
    let adjust = |settings: &mut Settings| settings.video.vertex.poll_interval = Duration::from_mins(1);
    with_adjusted_core(adjust, async |server, tokens| {
        enqueue_tokens(tokens, &[("t-1", 3600)]);
        for (provider, created, running, reply) in [
            (OMNI, "created.json", "in-progress.json", Some("cancelled.json")),
            (OMNI, "created.json", "in-progress.json", Some("cancel-too-late.400.json")),
            (VEO, "veo-created.json", "veo-running.json", None),
        ] {
            provider.enqueue(server, "task-1", Create, created);
            provider.enqueue(server, "task-1", Poll, running);
            let id = create(server, &provider.body()).await;
            wait_until_rendering(server, &id).await;
            server.upstream.skip_requests(2).await;
            if let Some(reply) = reply {
                provider.enqueue(server, "task-1", Cancel, reply);
            }
            let cancelled = server.request(Method::POST, &format!("/v1/videos/{id}/cancel")).send().await.unwrap();
            assert_eq!(json_body(cancelled).await["error"]["code"], "cancelled");
            if reply.is_some() {
                let path = OMNI.line(Cancel, "task-1").1;
                assert_eq!(request_line(&server.upstream.received().await), format!("post {path}"));
            }
            server.upstream.assert_no_request().await;
        }
        tokens.received().await;
    })
    .await;
}

#[tokio::test]
async fn model_that_the_gemini_api_has_too_is_served_by_the_default_provider() {
    let adjust = |settings: &mut Settings| settings.video.gemini.api_key = Some("gemini-video-secret".into());
    with_adjusted_core(adjust, async |server, _| {
        let models = json_body(server.request(Method::GET, "/v1/models").send().await.unwrap()).await;
        let owner = |name: &str| {
            let owners = models["data"].as_array().unwrap().iter().filter(|model| model["id"] == name);
            owners.map(|model| model["owned_by"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!((owner(VEO.model), owner(OMNI.model)), (vec!["vertex".to_owned()], vec!["vertex".to_owned()]));
        assert_eq!(owner("gemini-omni-1.1-flash"), ["gemini"]);
    })
    .await;
}
