//! Tests of the model endpoints in front of a [`CoreStub`]. It lists the image model `org/m` and, if video models are requested, `clips`;
//! the model `routed`, which has one target, only if a test enables it.

use serde_json::{Value, json};

use triptych_proto::v1 as pb;

use crate::testing::{CoreStub, get, send};

fn model() -> Value {
    json!({"id": "org/m", "object": "model", "created": 7, "owned_by": "offline", "modality": "image", "default": true,
           "aliases": ["alias"], "capabilities": ["edit"], "healthy": true})
}

#[tokio::test]
async fn list_has_the_form_of_openai() {
    let response = send(&CoreStub::default(), get("/v1/models")).await;
    assert_eq!((response.status.as_u16(), response.json()), (200, json!({"object": "list", "data": [model()]})));
}

#[tokio::test]
async fn modality_parameter_filters_the_list() {
    let core = CoreStub::default();
    for (query, modality) in [
        ("", pb::Modality::Unspecified),
        ("?other=1", pb::Modality::Unspecified),
        ("?modality=chat", pb::Modality::Chat),
        ("?modality=chat&modality=image", pb::Modality::Image),
        ("?modality=video", pb::Modality::Video),
    ] {
        assert_eq!(send(&core, get(&format!("/v1/models{query}"))).await.status, 200, "{query}");
        assert_eq!(core.requested_modality(), modality, "{query}");
    }
    for wrong in ["", "images", "unknown", "MODALITY_CHAT"] {
        let response = send(&core, get(&format!("/v1/models?modality={wrong}"))).await;
        assert_eq!(response.error(), (400, Some("modality".to_owned()), "invalid_field".to_owned()), "{wrong}");
    }
}

#[tokio::test]
async fn id_with_a_slash_is_accepted_plain_and_encoded() {
    for path in ["/v1/models/org/m", "/v1/models/org%2Fm"] {
        let response = send(&CoreStub::default(), get(path)).await;
        assert_eq!((response.status.as_u16(), response.json()), (200, model()), "{path}");
    }
}

#[tokio::test]
async fn routed_model_lists_its_targets() {
    let target = json!({"name": "near", "upstream_model": "theirs", "state": "half_open", "in_flight": 2, "weight": 3, "priority": 1});
    let model = send(&CoreStub::default(), get("/v1/models/routed")).await.json();
    assert_eq!((&model["healthy"], &model["targets"]), (&json!(true), &json!([target])));
}

#[tokio::test]
async fn unknown_model_returns_404_with_param_model() {
    let core = CoreStub::default();
    core.fail_every_call("MODEL_NOT_FOUND", tonic::Code::NotFound, Some("model"));
    let response = send(&core, get("/v1/models/none")).await;
    assert_eq!(response.error(), (404, Some("model".to_owned()), "model_not_found".to_owned()));
}

/// Returns the JSON of what `clips` accepts.
fn capabilities() -> Value {
    json!({
        "supported_resolutions": ["480p", "720p"], "supported_aspect_ratios": ["16:9"], "supported_sizes": null,
        "supported_durations": [4, 8], "supported_frame_images": ["first_frame", "last_frame"], "generate_audio": true,
        "seed": true, "allowed_passthrough_parameters": [], "audio": "default_on", "negative_prompt": false,
        "input_required": false, "max_reference_images": 9, "max_reference_videos": 0, "max_reference_sounds": 0,
        "frames_per_second": null, "edit": false, "edit_file": false, "extend": false, "extend_file": false, "supported_extension_durations": [], "deprecation_date": "2027-01-31",
    })
}

#[tokio::test]
async fn video_models_are_listed_in_the_form_of_openrouter() {
    let core = CoreStub::default();
    let response = send(&core, get("/v1/videos/models")).await;
    let mut clips = json!({"id": "clips", "canonical_slug": "clips", "name": "clips", "created": 7,
        "owned_by": "offline", "default": true, "aliases": ["alias"]});
    clips.as_object_mut().unwrap().extend(capabilities().as_object().unwrap().clone());
    assert_eq!((response.status.as_u16(), response.json()), (200, json!({"object": "list", "data": [clips]})));
    assert_eq!(core.requested_modality(), pb::Modality::Video);
}

#[tokio::test]
async fn video_model_has_its_capabilities_in_every_list() {
    let models = send(&CoreStub::default(), get("/v1/models?modality=video")).await.json();
    assert_eq!(models["data"][1]["video"], capabilities());
    assert_eq!(models["data"][0].get("video"), None);
    assert_eq!(send(&CoreStub::default(), get("/v1/models/clips")).await.json()["video"], capabilities());
}
