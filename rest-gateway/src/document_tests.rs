//! Holds the OpenAPI document against the route table, both ways, and against live answers.

use std::collections::BTreeSet;

use axum::body::Body;
use http::Request;
use serde_json::Value;

use crate::{
    health::OPENAPI,
    routes::ROUTES,
    testing::{Answer, Script, send},
};

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// The address as the document writes it.
fn documented(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    &document["paths"][documented(path)][method.to_ascii_lowercase()]
}

/// Follows a reference to its end.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let found = document.pointer(reference.strip_prefix('#').unwrap());
            resolve(document, found.unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
        None => value,
    }
}

#[test]
fn the_document_and_the_routes_name_the_same_operations() {
    let document = document();
    let mut written = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|method| *method != "head") {
            written.insert((method.to_ascii_uppercase(), path.clone()));
        }
    }
    let served: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.to_owned(), documented(route.path))).collect();
    assert_eq!(written, served);
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                resolve(document, value);
                members.values().for_each(|value| walk(document, value));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(document, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

#[test]
fn every_variable_of_an_address_is_described() {
    let document = document();
    for route in ROUTES {
        let described = operation(&document, route.method, route.path)["parameters"].as_array();
        let names: Vec<_> = described
            .into_iter()
            .flatten()
            .map(|parameter| resolve(&document, parameter))
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let path = documented(route.path);
        let variables: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(names, variables, "{path}");
    }
}

fn request(method: &str, path: &str) -> Request<Body> {
    let path = path.replace("{id}", "video_1").replace("{*id}", "org/m").replace("{key}", "clip.mp4");
    let body = r#"{"model":"m","prompt":"p","image":"YQ==","messages":[{"role":"user","content":"hello"}]}"#;
    let request = Request::builder().method(method).uri(path.replace("{engine}", "m"));
    request.header("host", "gateway.test").header("content-type", "application/json").body(Body::from(body)).unwrap()
}

/// The answer must be one that the document describes for its operation: status, content type, required members.
fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let place = format!("{method} {path}: {}", answer.status);
    let responses = &operation(document, method, path)["responses"];
    let exact = answer.status.as_str();
    let range = format!("{}XX", &exact[..1]);
    let described = responses.get(exact).or_else(|| responses.get(&range));
    let described = resolve(document, described.unwrap_or_else(|| panic!("{place} is not described")));
    let Some(kind) = answer.header("content-type") else { return assert!(described["content"].is_null(), "{place}") };
    let kind = kind.split(';').next().unwrap();
    let content = described["content"].get(kind).unwrap_or_else(|| panic!("{place}: {kind} is not described"));
    if kind == "application/json" {
        let schema = resolve(document, &content["schema"]);
        let body = answer.json();
        for member in schema["required"].as_array().into_iter().flatten() {
            assert!(body.get(member.as_str().unwrap()).is_some(), "{place}: no {member} in {body}");
        }
        for member in body.as_object().unwrap().keys().filter(|_| !schema["properties"].is_null()) {
            assert!(schema["properties"].get(member).is_some(), "{place}: {member} is not described");
        }
    }
}

#[tokio::test]
async fn answers_are_as_described() {
    let document = document();
    for route in ROUTES {
        let answer = send(&Script::default(), request(route.method, route.path)).await;
        assert!(answer.status.is_success() || route.path.ends_with("chat/completions"), "{route:?}: {}", answer.text());
        check(&document, route.method, route.path, &answer);
    }
}

#[tokio::test]
async fn failures_are_as_described() {
    let document = document();
    for (reason, code) in [("VIDEO_NOT_FOUND", tonic::Code::NotFound), ("OVERLOADED", tonic::Code::ResourceExhausted)] {
        for route in ROUTES {
            let script = Script::default();
            script.fails(reason, code, None);
            let answer = send(&script, request(route.method, route.path)).await;
            check(&document, route.method, route.path, &answer);
        }
    }
}
