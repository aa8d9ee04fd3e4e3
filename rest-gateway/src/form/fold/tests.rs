//! Tests of the folding of multipart fields, most of them by way of `extra_json`.

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::form::Fields;

/// Returns the folded fields as the JSON object that the core would receive.
fn extra(fields: &[(&str, &str)]) -> Result<serde_json::Value, GatewayError> {
    let parts = fields.iter().map(|(name, text)| ((*name).to_owned(), Value::Text((*text).to_owned())));
    let extra = Fields::new(fold(parts.collect())?).into_extra_json()?;
    Ok(serde_json::from_str(&extra).unwrap())
}

#[test]
fn brackets_fold_into_objects_and_lists() {
    for (fields, expected) in [
        (&[("a[b]", "1"), ("a[c][d]", "x")][..], json!({"a": {"b": 1, "c": {"d": "x"}}})),
        (&[("a[]", "1"), ("a[]", "x")], json!({"a": [1, "x"]})),
        (&[("a[]", "1")], json!({"a": [1]})),
        (&[("a", "1"), ("a", "2")], json!({"a": [1, 2]})),
        (&[("a[10]", "c"), ("a[2]", "b"), ("a[0]", "a")], json!({"a": ["a", "b", "c"]})),
        (&[("a[0][b]", "1"), ("a[0][c]", "2"), ("a[1][b]", "3")], json!({"a": [{"b": 1, "c": 2}, {"b": 3}]})),
        (&[("a[][b]", "1"), ("a[][c]", "2"), ("a[][b]", "3")], json!({"a": [{"b": 1, "c": 2}, {"b": 3}]})),
        (&[("a[][b][]", "1"), ("a[][b][]", "2")], json!({"a": [{"b": [1, 2]}]})),
        (&[("a[][]", "1")], json!({"a": [[1]]})),
        (&[("a[b]", "{\"c\": [1]}")], json!({"a": {"b": {"c": [1]}}})),
        (&[("a[007]", "x"), ("b[-1]", "y"), ("c[+1]", "z")], json!({"a": ["x"], "b": {"-1": "y"}, "c": {"+1": "z"}})),
        (&[("a[b", "1"), ("[b]", "2"), ("a]", "3"), ("a[b]c", "4")], json!({"a[b": 1, "[b]": 2, "a]": 3, "a[b]c": 4})),
    ] {
        assert_eq!(extra(fields).unwrap(), expected, "{fields:?}");
    }
    let deep = format!("a{}", "[b]".repeat(MAX_DEPTH + 1));
    assert_eq!(extra(&[(&deep, "1")]).unwrap(), json!({deep: 1}));
}

#[test]
fn objects_of_a_list_are_folded_from_rows_and_columns() {
    let rows = [("a[][b]", "x"), ("a[][c][d]", "y"), ("a[][b]", "z"), ("a[][c][d]", "w")];
    let columns = [("a[][b]", "x"), ("a[][b]", "z"), ("a[][c][d]", "y"), ("a[][c][d]", "w")];
    for order in [rows, columns] {
        let expected = json!({"a": [{"b": "x", "c": {"d": "y"}}, {"b": "z", "c": {"d": "w"}}]});
        assert_eq!(extra(&order).unwrap(), expected, "{order:?}");
    }
    let three = [("a[][b]", "1"), ("a[][c]", "2"), ("a[][b]", "3"), ("a[][b]", "4"), ("a[][c]", "5")];
    assert_eq!(extra(&three).unwrap(), json!({"a": [{"b": 1, "c": 2}, {"b": 3}, {"b": 4, "c": 5}]}));
}

#[test]
fn columns_of_different_lengths_are_refused() {
    let (b, c) = (("a[][b]", "x"), ("a[][c]", "y"));
    let list = ("a[][c][]", "y");
    for fields in [vec![b, b, c], vec![b, b, c, c, c], vec![b, b, list, list], vec![b, b, c, ("a[][d]", "z")]] {
        let error = extra(&fields).unwrap_err();
        assert_eq!((error.status().as_u16(), error.param()), (400, Some("a")), "{fields:?}");
        assert!(error.message().contains("as JSON text"), "{error}");
    }
}

#[test]
fn json_text_except_a_quoted_string_becomes_its_value_and_other_text_a_string() {
    for (text, expected) in [
        ("5.5", json!(5.5)),
        ("-3", json!(-3)),
        ("1e3", json!(1e3)),
        ("True", json!(true)),
        ("FALSE", json!(false)),
        ("null", json!(null)),
        (r#"[{"type":"web_search"}]"#, json!([{"type": "web_search"}])),
        (r#" {"a": 1} "#, json!({"a": 1})),
        ("007", json!("007")),
        ("+5", json!("+5")),
        (".5", json!(".5")),
        ("5.", json!("5.")),
        ("NaN", json!("NaN")),
        ("Infinity", json!("Infinity")),
        ("0x10", json!("0x10")),
        ("1 2", json!("1 2")),
        ("{a", json!("{a")),
        ("[sic] a text", json!("[sic] a text")),
        ("\"quoted\"", json!("\"quoted\"")),
        ("text", json!("text")),
    ] {
        assert_eq!(extra(&[("a", text)]).unwrap(), json!({"a": expected}), "{text}");
    }
}

#[test]
fn numbers_keep_their_spelling() {
    let parts = vec![("a".to_owned(), Value::Text("12345678901234567890123.10".to_owned()))];
    let extra = Fields::new(fold(parts).unwrap()).into_extra_json().unwrap();
    assert_eq!(extra, r#"{"a":12345678901234567890123.10}"#);
}

#[test]
fn contradictory_names_and_files_in_objects_are_refused() {
    for fields in [[("a", "1"), ("a[b]", "2")], [("a[]", "1"), ("a[b]", "2")], [("a[c]", "1"), ("a[c][b]", "2")]] {
        assert_eq!(extra(&fields).unwrap_err().param(), Some("a"), "{fields:?}");
    }
    let file = Value::File(Bytes::from_static(b"\xff"));
    assert_eq!(fold(vec![("a[b]".to_owned(), file)]).unwrap_err().param(), Some("a"));
}

#[test]
fn object_of_many_members_is_folded_in_linear_time() {
    // In quadratic time, this test and the next would take minutes.
    let parts = (0..200_000).map(|index| (format!("a[m{index}]"), Value::Text("1".to_owned())));
    assert_eq!(fold(parts.collect()).unwrap().len(), 1);
}

#[test]
fn list_of_many_objects_is_folded_in_linear_time() {
    let column = |name: &str| vec![(name.to_owned(), Value::Text("1".to_owned())); 100_000];
    assert_eq!(fold([column("a[][b]"), column("a[][c]")].concat()).unwrap().len(), 1);
}
