//! The pages for browsers, as a browser requests them: every file, its headers, and the files that it refers to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use reqwest::{Method, Response, StatusCode, Url};

use crate::test_server::{
    TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings, within_timeout,
};

const PAGES: [(&str, &str); 5] = [
    ("/", "index.html"),
    ("/playground", "playground.html"),
    ("/jobs", "jobs.html"),
    ("/usage", "usage.html"),
    ("/docs", "docs.html"),
];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The directory of the sources.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rest-gateway/pages")
}

/// Returns the sources of all assets, by their path below the directory.
fn assets() -> BTreeMap<String, Vec<u8>> {
    fn collect(directory: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                collect(&path, &format!("{name}/"), found);
            } else if name.contains('/') {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&sources(), "", &mut found);
    assert!(found.contains_key("js/api.js") && found.contains_key("css/tokens.css"), "{:?}", found.keys());
    found
}

/// Sends a request with a client that leaves compressed responses as they are.
async fn send(server: &TestServer, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let request = client.request(method, server.url(path));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    within_timeout("a response", request.send()).await.unwrap()
}

async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Response {
    send(server, Method::GET, path, headers).await
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Returns the values of an attribute, or of another text that ends with a quote, in the order of the document.
fn values<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.split(start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Returns the digest in the URLs of assets.
async fn digest(server: &TestServer) -> String {
    let html = get(server, "/", &[]).await.text().await.unwrap();
    html.split("\"assets/").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn pages_and_assets_have_their_headers_and_content() {
    with_local_and_remote_core(async |server| {
        let digest = digest(server).await;
        assert!(digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
        let pages = PAGES.map(|(path, file)| {
            let source = fs::read_to_string(sources().join(file)).unwrap();
            let html = source
                .replace("\"assets/", &format!("\"assets/{digest}/"))
                .replace("%VERSION%", env!("CARGO_PKG_VERSION"));
            (path.to_owned(), html.into_bytes(), "no-cache")
        });
        let assets = assets().into_iter().map(|(name, content)| {
            (format!("/assets/{digest}/{name}"), content, "public, max-age=31536000, immutable")
        });
        for (path, content, cache_control) in pages.into_iter().chain(assets) {
            let media_type = match path.rsplit_once('.') {
                Some((_, "js")) => "text/javascript; charset=utf-8",
                Some((_, "css")) => "text/css; charset=utf-8",
                Some((_, "svg")) => "image/svg+xml",
                _ => "text/html; charset=utf-8",
            };
            for encoding in ["gzip", "identity"] {
                let response = get(server, &path, &[("accept-encoding", encoding)]).await;
                assert_eq!(response.status(), StatusCode::OK, "{path}");
                for (name, value) in [
                    ("content-type", media_type),
                    ("cache-control", cache_control),
                    ("content-security-policy", POLICY),
                    ("x-content-type-options", "nosniff"),
                    ("referrer-policy", "no-referrer"),
                    ("cross-origin-opener-policy", "same-origin"),
                ] {
                    assert_eq!(header(&response, name), value, "{name} of {path}");
                }
                assert!(header(&response, "permissions-policy").contains("microphone=()"), "{path}");
                let vary: Vec<_> = response.headers().get_all("vary").iter().collect();
                assert!(vary.iter().any(|value| *value == "accept-encoding"), "{path}: {vary:?}");
                let is_compressed = encoding == "gzip";
                assert_eq!(header(&response, "content-encoding") == "gzip", is_compressed, "{path}");
                let etag = header(&response, "etag").to_owned();
                let mut body = response.bytes().await.unwrap().to_vec();
                if is_compressed {
                    let compressed = std::mem::take(&mut body);
                    GzDecoder::new(compressed.as_slice()).read_to_end(&mut body).unwrap();
                }
                assert_eq!(body, content, "{path}");

                let response = get(server, &path, &[("accept-encoding", encoding), ("if-none-match", &etag)]).await;
                assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{path}");
                assert_eq!(
                    (header(&response, "etag"), header(&response, "cache-control")),
                    (etag.as_str(), cache_control)
                );
                assert!(response.bytes().await.unwrap().is_empty());
            }
            let response = send(server, Method::HEAD, &path, &[("accept-encoding", "identity")]).await;
            assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, media_type), "{path}");
            assert_eq!(header(&response, "content-length"), content.len().to_string(), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_have_no_inline_script_or_style() {
    with_local_and_remote_core(async |server| {
        for (path, _) in PAGES {
            let html = get(server, path, &[]).await.text().await.unwrap();
            for script in html.split("<script").skip(1) {
                let (tag, content) = script.split_once('>').unwrap();
                assert!(tag.contains(" src=\"assets/") && content.starts_with("</script>"), "{path}: <script{tag}>");
            }
            let tags: Vec<_> = html.split('<').map(|tag| tag.split('>').next().unwrap().to_ascii_lowercase()).collect();
            for tag in &tags {
                assert!(!tag.starts_with("style") && !tag.contains(" style="), "{path}: <{tag}>");
                // Event handlers are attributes whose names begin with `on`.
                assert!(!tag.contains(" on") && !tag.contains("javascript:"), "{path}: <{tag}>");
            }
            assert!(html.starts_with("<!doctype html>") && html.contains("<html lang="), "{path}");
            for landmark in ["<title>", "<main ", "<h1", "name=\"viewport\""] {
                assert_eq!(html.matches(landmark).count(), 1, "{path}: {landmark}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_reference_of_pages_and_assets_is_served() {
    with_local_and_remote_core(async |server| {
        let mut waiting: Vec<Url> = PAGES.iter().map(|(path, _)| server.url(path).parse().unwrap()).collect();
        let mut visited = BTreeSet::new();
        while let Some(url) = waiting.pop() {
            if !visited.insert(url.clone()) {
                continue;
            }
            let response = get(server, url.path(), &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{url}");
            let kind = header(&response, "content-type").split(';').next().unwrap().to_owned();
            let text = response.text().await.unwrap();
            let starts: &[&str] = match kind.as_str() {
                "text/html" => &[" src=\"", " href=\""],
                // Imports by other names occur in example code only.
                "text/javascript" => &[" from \"./", " from \"../", "import \"./", "import(\"./"],
                "text/css" => &["url(\"", "@import \""],
                _ => &[],
            };
            let prefix = |start: &str| start.rsplit('"').next().unwrap().to_owned();
            let references = starts.iter().flat_map(|start| {
                let prefix = prefix(start);
                values(&text, start).into_iter().map(move |rest| format!("{prefix}{rest}"))
            });
            for reference in references {
                // Relative, so that it also resolves behind a proxy that removes a prefix of the path.
                assert!(!reference.starts_with('/') && !reference.contains(':'), "{url}: {reference}");
                if !reference.starts_with('#') {
                    waiting.push(url.join(&reference).unwrap());
                }
            }
        }
        // The names of the files: the last segments below `/assets/DIGEST/`.
        let reached: BTreeSet<_> =
            visited.iter().filter_map(|url| url.path().split('/').skip(3).reduce(|_, last| last)).collect();
        for name in ["boot.js", "shell.js", "api.js", "tokens.css", "icon.svg"] {
            assert!(reached.contains(name), "{name} is not referred to: {reached:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_are_served_without_a_key_while_the_api_requires_one() {
    let adjust = |settings: &mut core_service::config::Settings, _: &mut rest_gateway::Settings| {
        let key = core_service::config::Key {
            name: "a".to_owned(),
            secret: Some("the-secret-of-alice".into()),
            ..core_service::config::Key::default()
        };
        settings.keys = vec![key];
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        for (path, _) in PAGES {
            assert_eq!(get(server, path, &[]).await.status(), StatusCode::OK, "{path}");
        }
        assert_eq!(get(server, "/v1/models", &[]).await.status(), StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn pages_return_404_if_the_setting_is_off() {
    let adjust =
        |_: &mut core_service::config::Settings, gateway: &mut rest_gateway::Settings| gateway.runtime.pages = false;
    with_local_and_remote_core_and_settings(adjust, async |server| {
        for (path, _) in PAGES {
            let response = get(server, path, &[("accept", "text/html")]).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(header(&response, "content-type"), "application/json", "{path}");
        }
        assert_eq!(get(server, "/openapi.json", &[]).await.status(), StatusCode::OK);
    })
    .await;
}
