//! Content parts: text, refusal, image, file and audio.

use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part};

use super::super::{
    error::InvalidRequest,
    fields::{Fields, Node},
};

/// Reads an array of parts.
pub(super) fn read_parts(node: &Node<'_>) -> Result<Vec<pb::ContentPart>, InvalidRequest> {
    let parts = node.array().map_err(|_| node.expected("a string or an array of content parts"))?;
    parts.iter().map(read_part).collect()
}

/// Returns the content of a chat message. Texts alone become one text, which more upstreams understand than parts.
pub(super) fn to_content(parts: Vec<pb::ContentPart>) -> Content {
    let is_plain_text = |part: &pb::ContentPart| matches!(part.part, Some(Part::Text(_))) && part.extra_json.is_empty();
    if !parts.iter().all(is_plain_text) {
        return Content::Parts(pb::ContentParts { parts });
    }
    let mut text = String::new();
    for part in parts {
        if let Some(Part::Text(more)) = part.part {
            text.push_str(&more);
        }
    }
    Content::Text(text)
}

fn read_part(node: &Node<'_>) -> Result<pb::ContentPart, InvalidRequest> {
    let mut fields = node.object()?;
    let kind = fields.required("type")?;
    let part = match kind.string()?.as_str() {
        "input_text" | "output_text" => {
            fields.ignore(&["annotations", "logprobs"]);
            Part::Text(fields.required("text")?.string()?)
        }
        "refusal" => Part::Refusal(fields.required("refusal")?.string()?),
        "input_image" => Part::ImageUrl(read_image(&mut fields)?),
        "input_file" => Part::File(read_file(&mut fields)?),
        "input_audio" => Part::InputAudio(read_audio(&mut fields)?),
        _ => {
            return Err(kind.expected("one of input_text, output_text, refusal, input_image, input_file, input_audio"));
        }
    };
    let extra_json = fields.into_extra();
    Ok(pb::ContentPart { part: Some(part), extra_json })
}

fn read_image(fields: &mut Fields<'_>) -> Result<pb::ImagePart, InvalidRequest> {
    if let Some(file_id) = fields.take("file_id") {
        return Err(file_id.unsupported(
            "stored files are not served; send the image in `image_url`, as a URL or as a data: URL with base64",
        ));
    }
    let url = fields.required("image_url")?;
    let text = url.name()?;
    if !has_scheme(&text, &["http:", "https:", "data:"]) {
        return Err(url.expected("a URL, for example https://… or data:image/png;base64,…"));
    }
    let detail = fields.optional("detail", Node::string)?;
    Ok(pb::ImagePart { url: text, detail, extra_json: String::new() })
}

fn read_file(fields: &mut Fields<'_>) -> Result<pb::FilePart, InvalidRequest> {
    if let Some(file_id) = fields.take("file_id") {
        return Err(file_id.unsupported(
            "stored files are not served; send the file in `file_data`, as a data: URL with base64, with `filename`, or its URL in \
             `file_url`",
        ));
    }
    let file_url = fields.optional("file_url", read_file_url)?;
    let file_data = match (&file_url, fields.take("file_data")) {
        (None, Some(file_data)) => Some(file_data.name()?),
        (None, None) => Some(fields.required("file_data")?.name()?),
        (Some(_), Some(file_data)) => return Err(file_data.expected("no `file_data` beside `file_url`")),
        (Some(_), None) => None,
    };
    let filename = fields.optional("filename", Node::string)?;
    // The detail with which OpenAI's server renders pages; a chat upstream has no such member.
    fields.ignore(&["detail"]);
    Ok(pb::FilePart { file_data, file_id: None, filename, file_url, extra_json: String::new() })
}

fn read_file_url(node: &Node<'_>) -> Result<String, InvalidRequest> {
    let url = node.name()?;
    if has_scheme(&url, &["http:", "https:"]) { Ok(url) } else { Err(node.expected("an http or https URL")) }
}

fn has_scheme(url: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn read_audio(fields: &mut Fields<'_>) -> Result<pb::AudioPart, InvalidRequest> {
    let mut audio = fields.required("input_audio")?.object()?;
    let data = audio.required("data")?.name()?;
    let format = audio.required("format")?.name()?;
    Ok(pb::AudioPart { data, format, extra_json: String::new() })
}
