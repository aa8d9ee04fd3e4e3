//! Usage as CSV (RFC 4180), with a header line.

use std::borrow::Cow;

use triptych_proto::{usd::usd, v1 as pb};

use super::wire::{modality, video_seconds};

const HEADER: [&str; 15] = [
    "day",
    "key",
    "team",
    "modality",
    "model",
    "calls",
    "errors",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "images",
    "video_seconds",
    "cost",
    "cost_micros",
];

/// Returns the rows as CSV. Columns that the request does not group by are empty.
pub(super) fn write(rows: &[pb::UsageRow]) -> String {
    let mut text = String::new();
    line(&mut text, &HEADER.map(Cow::Borrowed));
    for row in rows {
        let name = |name: &Option<String>| quoted(name.as_deref().unwrap_or_default());
        let fields = [
            name(&row.day),
            name(&row.key),
            name(&row.team),
            modality(row).unwrap_or_default().into(),
            name(&row.model),
            row.calls.to_string().into(),
            row.errors.to_string().into(),
            row.input_tokens.to_string().into(),
            row.cached_tokens.to_string().into(),
            row.output_tokens.to_string().into(),
            row.reasoning_tokens.to_string().into(),
            row.images.to_string().into(),
            video_seconds(row.video_millis).to_string().into(),
            usd(row.cost_micros).into(),
            row.cost_micros.to_string().into(),
        ];
        line(&mut text, &fields);
    }
    text
}

fn line(text: &mut String, fields: &[Cow<'static, str>; HEADER.len()]) {
    text.push_str(&fields.join(","));
    text.push_str("\r\n");
}

/// Returns a field, quoted if it contains a separator, a quote or a line break.
fn quoted(field: &str) -> Cow<'static, str> {
    let needs_quotes = field.contains([',', '"', '\r', '\n']);
    if needs_quotes { format!("\"{}\"", field.replace('"', "\"\"")).into() } else { field.to_owned().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_separators_are_quoted_and_lines_end_with_crlf() {
        let row = pb::UsageRow {
            day: Some("2026-11-28".to_owned()),
            key: Some("a,b".to_owned()),
            team: Some("the \"best\"".to_owned()),
            modality: pb::Modality::Video.into(),
            model: Some("m".to_owned()),
            calls: 2,
            errors: 1,
            video_millis: 4500,
            cost_micros: 450_000,
            ..pb::UsageRow::default()
        };
        let text = write(&[row, pb::UsageRow { calls: 1, ..pb::UsageRow::default() }]);
        let lines: Vec<_> = text.split("\r\n").collect();
        let expected = [
            "day,key,team,modality,model,calls,errors,input_tokens,cached_tokens,output_tokens,reasoning_tokens,images,\
             video_seconds,cost,cost_micros",
            "2026-11-28,\"a,b\",\"the \"\"best\"\"\",video,m,2,1,0,0,0,0,0,4.5,0.45,450000",
            ",,,,,1,0,0,0,0,0,0,0,0.00,0",
            "",
        ];
        assert_eq!(lines, expected);
    }
}
