//! The messages for invalid values: which setting, where it comes from, and which values are accepted.

use super::load_error;

#[test]
fn an_invalid_value_is_reported_with_key_origin_and_rule() {
    type Variables<'a> = &'a [(&'a str, &'a str)];
    // The file, the variables of `.env`, those of the process, and the parts that the message must have.
    #[rustfmt::skip]
    let table: [(&str, Variables<'_>, Variables<'_>, &[&str]); 20] = [
        ("[jobs]\nlease = '30 parsecs'", &[], &[], &["jobs.lease = ", "30 parsecs", "(from triptych.toml)"]),
        ("[jobs]\nlease = 30", &[], &[], &["jobs.lease", "triptych.toml", "a quoted string", "\"15s\""]),
        ("[jobs]\nleese = '30s'", &[], &[], &["jobs.leese", "triptych.toml", "did you mean jobs.lease?"]),
        ("[jobs", &[], &[], &["triptych.toml, line 1"]),
        ("", &[], &[("TRIPTYCH_GRPC_LISTEN", "50051")], &["grpc.listen = \"50051\"", "TRIPTYCH_GRPC_LISTEN", "IP:PORT"]),
        ("", &[("TRIPTYCH_JOBS_CONCURRENCY", "many")], &[], &["jobs.concurrency = \"many\"", "TRIPTYCH_JOBS_CONCURRENCY in .env", "an integer"]),
        ("", &[], &[("TRIPTYCH_JOBS_CONCURRENCY", "0")], &["jobs.concurrency = 0", "1 to 256"]),
        ("", &[], &[("TRIPTYCH_MEDIA_RETENTION", "5s")], &["media.retention = \"5s\"", "at least 1m"]),
        ("", &[], &[("TRIPTYCH_MEDIA_QUOTA_BYTES", "1000")], &["media.quota_bytes = 1000", "64 MiB"]),
        ("", &[], &[("TRIPTYCH_MEDIA_LINK_TTL", "0s")], &["media.link_ttl", "at least 1s"]),
        ("", &[], &[("TRIPTYCH_MEDIA_DOWNLOADS", "signed")], &["media.downloads = \"signed\"", "`proxy`", "`redirect`"]),
        ("", &[], &[("TRIPTYCH_MEDIA_DOWNLOADS", "redirect")], &["media.downloads = \"redirect\"", "needs a bucket", "s3://BUCKET"]),
        ("[media]\nurl = 'gs://a'\ndownloads = 'redirect'\ndownload_endpoint = 'https://a.test'", &[], &[], &["media.download_endpoint", "needs a bucket of S3"]),
        ("[media]\nurl = 's3://a'\ndownload_endpoint = 'https://a.test'", &[], &[], &["media.download_endpoint", "media.downloads"]),
        ("", &[], &[("TRIPTYCH_GRPC_REFLEXION", "true")], &["TRIPTYCH_GRPC_REFLEXION", "did you mean TRIPTYCH_GRPC_REFLECTION?"]),
        ("", &[], &[("CHAT_BASE_URL", "api.example.com")], &["chat.base_url = \"api.example.com\"", "CHAT_BASE_URL", "http or https"]),
        ("", &[], &[("IMAGE_SERVICE_TYPE", "dashscope")], &["image.service_type = \"dashscope\"", "IMAGE_SERVICE_TYPE", "DASHSCOPE_API_KEY"]),
        ("[image.dashscope]\ntasks = ['wan*t2i']", &[], &[], &["image.dashscope.tasks", "triptych.toml", "at the end of a name"]),
        ("", &[], &[("VIDEO_SERVICE_TYPE", "sorra")], &["video.service_type = \"sorra\"", "VIDEO_SERVICE_TYPE", "`offline`", "`veo`"]),
        ("", &[], &[("TRIPTYCH_LOG_FILTER", "info,=?")], &["log.filter", "TRIPTYCH_LOG_FILTER", "warn,core_service=debug"]),
    ];
    for (file, dotenv, environment, expected) in table {
        let message = load_error(file, dotenv, environment);
        for part in expected {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }
}

#[test]
fn memory_of_all_bodies_below_that_of_one_is_refused() {
    let message = load_error("[rest]\nbody_memory_bytes = 1000", &[], &[]);
    assert!(message.contains("must be at least rest.body_limit_bytes"), "{message}");
}
