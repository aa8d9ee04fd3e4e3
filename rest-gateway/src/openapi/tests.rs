//! Compares the OpenAPI document with the route table, in both directions, and with responses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::DOCUMENT;
use crate::{
    routes::ROUTES,
    testing::{CoreStub, TestResponse, request_for, send},
};

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Returns a path of the route table in the notation of the document, which writes `{*id}` as `{id}`.
fn document_path(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    &document["paths"][document_path(path)][method.to_ascii_lowercase()]
}

/// Follows references.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let found = document.pointer(reference.strip_prefix('#').unwrap());
            resolve(document, found.unwrap_or_else(|| panic!("{reference} does not exist")))
        }
        None => value,
    }
}

#[test]
fn document_and_route_table_have_the_same_operations() {
    let document = document();
    let mut written = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // The route table has no HEAD, which is served wherever GET is.
        for method in operations.as_object().unwrap().keys().filter(|method| *method != "head") {
            written.insert((method.to_ascii_uppercase(), path.clone()));
        }
    }
    let served: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.to_owned(), document_path(route.path))).collect();
    assert_eq!(written, served);
}

#[test]
fn every_reference_resolves() {
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
fn every_path_variable_is_described() {
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
        let path = document_path(route.path);
        let variables: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(names, variables, "{path}");
    }
}

/// Returns the media types of a request body or response with their descriptions.
fn media_types<'a>(document: &'a Value, value: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    resolve(document, value)["content"].as_object().into_iter().flatten()
}

fn has_example(content: &Value) -> bool {
    content.get("example").or_else(|| content.get("examples")).is_some()
}

#[test]
fn every_operation_has_an_own_summary_and_examples() {
    let document = document();
    let mut summaries = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap();
            assert!(summaries.insert(summary), "{method} {path}: another operation has the summary {summary}");
            let request = media_types(&document, &operation["requestBody"]);
            let responses = operation["responses"].as_object().unwrap().values();
            for (kind, content) in request.chain(responses.flat_map(|response| media_types(&document, response))) {
                // Files have none.
                let is_text =
                    kind.starts_with("application/") || kind.starts_with("text/") || kind.starts_with("multipart/");
                assert!(has_example(content) || !is_text, "{method} {path}: {kind} has no example");
            }
        }
    }
}

/// Asserts that the document describes a response: status, content type, required and known members.
fn check(document: &Value, method: &str, path: &str, response: &TestResponse) {
    let operation_name = format!("{method} {path}: {}", response.status);
    let responses = &operation(document, method, path)["responses"];
    let exact = response.status.as_str();
    let range = format!("{}XX", &exact[..1]);
    let described = responses.get(exact).or_else(|| responses.get(&range));
    let described = resolve(document, described.unwrap_or_else(|| panic!("{operation_name} is not described")));
    let Some(kind) = response.header("content-type") else {
        return assert!(described["content"].is_null(), "{operation_name}");
    };
    let kind = kind.split(';').next().unwrap();
    let content = described["content"].get(kind).unwrap_or_else(|| panic!("{operation_name}: {kind} is not described"));
    if kind == "application/json" {
        let schema = resolve(document, &content["schema"]);
        let body = response.json();
        for member in schema["required"].as_array().into_iter().flatten() {
            assert!(body.get(member.as_str().unwrap()).is_some(), "{operation_name}: no {member} in {body}");
        }
        for member in body.as_object().unwrap().keys().filter(|_| !schema["properties"].is_null()) {
            assert!(schema["properties"].get(member).is_some(), "{operation_name}: {member} is not described");
        }
    }
}

#[tokio::test]
async fn responses_match_the_document() {
    let document = document();
    for route in ROUTES {
        let response = send(&CoreStub::default(), request_for(route.method, route.path)).await;
        assert!(response.status.is_success(), "{route:?}: {}", response.text());
        check(&document, route.method, route.path, &response);
    }
}

#[tokio::test]
async fn error_responses_match_the_document() {
    let document = document();
    for (reason, code) in [("VIDEO_NOT_FOUND", tonic::Code::NotFound), ("OVERLOADED", tonic::Code::ResourceExhausted)] {
        for route in ROUTES {
            let core = CoreStub::default();
            core.fail_every_call(reason, code, None);
            let response = send(&core, request_for(route.method, route.path)).await;
            check(&document, route.method, route.path, &response);
        }
    }
}
