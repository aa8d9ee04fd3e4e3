//! The providers of images and videos: the variables that each of them requires, and the values of their settings.

use secrecy::ExposeSecret as _;

use super::{core_config, load, load_error, masked};

#[test]
fn an_image_provider_requires_its_key_or_url() {
    let openai = [("IMAGE_SERVICE_TYPE", "openai")];
    let message = load_error("", &[], &openai);
    for part in ["image.service_type = \"openai\"", "IMAGE_API_KEY", "IMAGE_BASE_URL"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "nano_banana")]);
    for part in ["image.service_type = \"nano_banana\"", "GEMINI_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let complete = [("IMAGE_SERVICE_TYPE", "nano_banana"), ("GEMINI_API_KEY", "k")];
    assert!(load("", &[], &complete).is_ok());
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "doubao")]);
    for part in ["image.service_type = \"doubao\"", "ARK_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let complete = [("IMAGE_SERVICE_TYPE", "doubao"), ("ARK_API_KEY", "k")];
    assert_eq!(load("", &[], &complete).unwrap().core.image.service_type, core_config::ImageServiceType::Doubao);
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "midjourney"), ("MJ_API_SECRET", "s")]);
    for part in ["image.service_type = \"midjourney\"", "MJ_BASE_URL"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let complete = [("IMAGE_SERVICE_TYPE", "midjourney"), ("MJ_BASE_URL", "http://127.0.0.1:8080/mj")];
    assert!(load("", &[], &complete).is_ok());
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "dashscope")]);
    for part in ["image.service_type = \"dashscope\"", "DASHSCOPE_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let complete = [("IMAGE_SERVICE_TYPE", "dashscope"), ("DASHSCOPE_API_KEY", "k")];
    assert!(load("", &[], &complete).is_ok());
    let with_key = [("IMAGE_API_KEY", "sk-secret"), ("IMAGE_MODELS", "mine, other")];
    let config = load("", &[], &with_key).unwrap();
    assert_eq!(config.core.image.openai.models, ["mine", "other"]);
    let keys = [("ARK_API_KEY", "k1"), ("GEMINI_API_KEY", "k2"), ("MJ_API_SECRET", "k3"), ("DASHSCOPE_API_KEY", "k4")];
    let config = load("", &[], &keys).unwrap();
    let core_config::Image { doubao, nano_banana, midjourney, dashscope, .. } = &config.core.image;
    let read = [&doubao.api_key, &nano_banana.api_key, &midjourney.api_secret, &dashscope.api_key];
    assert_eq!(read.map(|key| key.as_ref().unwrap().expose_secret()), ["k1", "k2", "k3", "k4"]);
    let shown = masked(&config);
    assert!(shown.contains("image.midjourney.api_secret = (hidden)"), "{shown}");
}

#[test]
fn a_video_provider_requires_its_key_or_url() {
    for (service_type, variables) in [
        ("openai", &["VIDEO_API_KEY", "VIDEO_BASE_URL"][..]),
        ("fal", &["FAL_KEY"]),
        ("gemini", &["GEMINI_API_KEY"]),
        ("midjourney", &["MJ_BASE_URL"]),
        ("runway", &["RUNWAYML_API_SECRET"]),
        ("seedance", &["ARK_API_KEY"]),
        ("kling", &["KLING_API_KEY"]),
        ("minimax", &["MINIMAX_API_KEY"]),
        ("vidu", &["VIDU_API_KEY"]),
        ("wan", &["DASHSCOPE_API_KEY"]),
        ("xai", &["XAI_API_KEY"]),
    ] {
        let message = load_error("", &[], &[("VIDEO_SERVICE_TYPE", service_type)]);
        assert!(message.contains(&format!("video.service_type = \"{service_type}\"")), "{message}");
        for variable in variables {
            assert!(message.contains(variable), "`{message}` lacks `{variable}`");
            let set = [("VIDEO_SERVICE_TYPE", service_type), (variable, "http://127.0.0.1:1/v1")];
            assert!(load("", &[], &set).is_ok(), "{variable}");
        }
    }
    let veo = load("", &[], &[("VIDEO_SERVICE_TYPE", "veo"), ("GEMINI_API_KEY", "k")]).unwrap();
    assert_eq!(veo.core.video.service_type, core_config::VideoServiceType::Gemini);
    let variables =
        [("ARK_API_KEY", "k1"), ("VIDEO_API_KEY", "k2"), ("VIDEO_MODELS", "mine, other"), ("IMAGE_API_KEY", "k3")];
    let config = load("", &[], &variables).unwrap();
    let core_config::Video { openai, seedance, .. } = &config.core.video;
    let read =
        [&config.core.image.doubao.api_key, &seedance.api_key, &openai.api_key, &config.core.image.openai.api_key];
    assert_eq!(read.map(|key| key.as_ref().unwrap().expose_secret()), ["k1", "k1", "k2", "k3"]);
    assert_eq!(openai.models, ["mine", "other"]);
    let mut shown = masked(&config);
    assert!(shown.contains("video.openai.api_key = (hidden)"), "{shown}");
    crate::banner::write_providers(&mut shown, &config).unwrap();
    let lines = [
        "  video  offline: built-in mock engine; select another provider with VIDEO_SERVICE_TYPE",
        "         connected to OpenAI for mine, other",
        "         connected to Volcengine Ark for doubao-seedance-1-5-pro-251215, ",
    ];
    assert!(lines.iter().all(|line| shown.contains(line)), "{shown}");
}

#[test]
fn vertex_ai_requires_the_key_of_a_service_account() {
    let message = load_error("", &[], &[("VIDEO_SERVICE_TYPE", "vertex")]);
    for part in
        ["video.service_type = \"vertex\"", "GOOGLE_APPLICATION_CREDENTIALS", "TRIPTYCH_VIDEO_VERTEX_CREDENTIALS"]
    {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let user = r#"{"type":"authorized_user","client_secret":"s3cret"}"#;
    let message = load_error("", &[], &[("TRIPTYCH_VIDEO_VERTEX_CREDENTIALS", user)]);
    for part in ["video.vertex.credentials = (hidden)", "`type` must be \"service_account\""] {
        assert!(message.contains(part) && !message.contains("s3cret"), "`{message}` lacks `{part}`");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json").display().to_string();
    let message = load_error("", &[], &[("GOOGLE_APPLICATION_CREDENTIALS", &path)]);
    assert!(message.contains("video.vertex.credentials_file") && message.contains(&path), "{message}");
    let places = [("GOOGLE_CLOUD_PROJECT", "mine"), ("GOOGLE_CLOUD_LOCATION", "europe-west4")];
    let vertex = load("", &[], &places).unwrap().core.video.vertex;
    assert_eq!(
        (vertex.project.as_str(), vertex.location.as_str(), vertex.is_configured()),
        ("mine", "europe-west4", false)
    );
    let message = load_error("[video.vertex]\nlocation = 'US'", &[], &[]);
    assert!(message.contains("video.vertex.location"), "{message}");
}

#[test]
fn an_invalid_video_setting_is_rejected() {
    for (file, expected) in [
        ("[video.openai]\npoll_interval = '99ms'", "at least 100ms"),
        ("[video.runway]\nmodels = ['gen4.5', ' ']", "none of them empty"),
        ("[video.seedance]\npoll_interval = '0s'", "at least 100ms"),
        ("[video.seedance]\nmax_resolution = '8k'", "`1080p`"),
        ("[video.seedance]\nmodels = []", "at least one name"),
        ("[video.kling]\naccess_key = 'a'", "KLING_SECRET_KEY"),
        ("[video.kling]\nsecret_key = 'a'", "KLING_ACCESS_KEY"),
        ("[video]\nidle_timeout = '0s'", "greater than zero"),
        ("[video.routing]\nfailures = 0", "at least 1"),
    ] {
        let message = load_error(file, &[], &[]);
        assert!(message.contains(expected) && message.contains("video."), "`{message}` lacks `{expected}`");
    }
}
