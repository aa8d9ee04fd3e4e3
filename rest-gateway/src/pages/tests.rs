//! The routes of the pages, without sockets. The end-to-end tests compare every file.

use http::Method;

use crate::{
    Gateway, RuntimeSettings, Settings,
    testing::{CoreStub, TestResponse, get, send, send_to},
};

async fn send_with(path: &str, headers: &[(&'static str, &str)]) -> TestResponse {
    let mut request = get(path);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    send(&CoreStub::default(), request).await
}

#[tokio::test]
async fn reload_switches_the_pages_off_and_on() {
    let core = CoreStub::default();
    let gateway = Gateway::new(core.services(), Settings::default());
    let router = gateway.router();
    let asset = format!("/assets/{}/css/base.css", super::embedded::DIGEST);
    for pages in [true, false, true] {
        gateway.reload(RuntimeSettings { pages, ..RuntimeSettings::default() });
        for path in ["/", "/playground", "/jobs", "/usage", "/docs", &asset] {
            let response = send_to(router.clone(), get(path)).await;
            assert_eq!(response.status, if pages { 200 } else { 404 }, "{path}");
            if !pages {
                assert_eq!(response.error(), (404, None, "not_found".to_owned()), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn client_that_accepts_json_only_gets_the_error_of_an_unknown_path() {
    for path in ["/", "/docs"] {
        let response = send_with(path, &[("accept", "application/json")]).await;
        assert_eq!(response.error(), (404, None, "not_found".to_owned()), "{path}");
        let response = send_with(path, &[("accept", "*/*")]).await;
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    }
}

#[tokio::test]
async fn slash_after_a_page_is_redirected_relatively() {
    for (path, location) in [("/jobs/", "../jobs"), ("/jobs//", "../../jobs"), ("//jobs/", "../jobs")] {
        let response = send_with(path, &[]).await;
        assert_eq!((response.status.as_u16(), response.header("location")), (308, Some(location)), "{path}");
    }
    for path in ["/", "//", "//jobs"] {
        assert_eq!(send_with(path, &[]).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn asset_of_another_version_and_page_below_assets_do_not_exist() {
    let digest = super::embedded::DIGEST;
    for path in [
        "/assets/0000000000000000/css/base.css".to_owned(),
        format!("/assets/{digest}/index.html"),
        format!("/assets/{digest}/README.md"),
        format!("/assets/{digest}/css/../index.html"),
        format!("/assets/{digest}/css"),
        format!("/assets/{digest}"),
    ] {
        assert_eq!(send_with(&path, &[]).await.error(), (404, None, "not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn pages_accept_get_and_head_only() {
    for (method, status) in [(Method::HEAD, 200), (Method::POST, 405), (Method::DELETE, 405)] {
        let mut request = get("/");
        *request.method_mut() = method.clone();
        let response = send(&CoreStub::default(), request).await;
        assert_eq!(response.status, status, "{method}");
        assert_eq!(response.body.is_empty(), method == Method::HEAD, "{method}");
    }
}

#[tokio::test]
async fn metrics_count_pages_and_assets_by_route() {
    let core = CoreStub::default();
    for path in ["/playground", &format!("/assets/{}/css/base.css", super::embedded::DIGEST)] {
        send(&core, get(path)).await;
    }
    let metrics = send(&core, get("/metrics")).await;
    for route in ["/playground", "/assets/{digest}/{*name}"] {
        let line = format!("triptych_rest_requests_total{{route=\"{route}\",method=\"GET\",status=\"200\"}}");
        assert!(metrics.text().contains(&line), "{line} is not in {}", metrics.text());
    }
}

#[test]
fn embedded_files_are_at_most_300_kib() {
    let size: usize = super::embedded::FILES.iter().map(|file| file.gzip.len()).sum();
    assert!(size <= 300 * 1024, "the pages have {size} bytes, but may have {}", 300 * 1024);
}
