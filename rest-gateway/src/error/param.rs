//! Field paths of the contract, the protobuf API of the core, in the spelling of OpenAI's JSON. The core names an
//! invalid field by its path in the contract; the client knows only the JSON.

/// Converts a field path of the contract to the path that the client wrote: `parts[1].text` of a message becomes
/// `content[1].text`. `None` if the path names nothing that the client wrote.
pub(crate) fn to_json_path(field: &str) -> Option<String> {
    let mut path: Vec<String> = Vec::new();
    for (place, segment) in field.split('.').enumerate() {
        let (name, index) = segment.find('[').map_or((segment, ""), |at| segment.split_at(at));
        // Whether this segment is within the member `name`, or within one of its elements.
        let within = |name: &str| {
            path.last()
                .and_then(|last| last.strip_prefix(name))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        let name = match name {
            // The contract nests the request in a field of its call; the JSON does not.
            "chat" | "image" if place == 0 && index.is_empty() && field.contains('.') => continue,
            // Variants of the contract's `oneof`s: the client wrote only the member around them.
            "data" | "url" | "media_key" | "source"
                if ["image", "mask", "input_reference", "frame_images", "input_references"].into_iter().any(within) =>
            {
                continue;
            }
            "image" if within("frame_images") => continue,
            "position" if within("frame_images") => "frame_type",
            "media" if within("input_references") => continue,
            "kind" if within("input_references") => "type",
            "mode" if within("tool_choice") => continue,
            "function_name" if within("tool_choice") => "function.name",
            // JSON that the contract carries as it is: the client wrote its members, not the field around them.
            "extra_json" | "other_json" | "request_json" => continue,
            // `content` of a message is a text or a list of parts; the contract has a field for each.
            "text" if place > 0 && path.len() == 1 && within("messages") => "content",
            // The list within the contract's message `parts`: its index belongs to the client's `content`.
            "parts" if within("content") => {
                if let Some(last) = path.last_mut() {
                    last.push_str(index);
                }
                continue;
            }
            "parts" => "content",
            "duration_seconds" => "seconds",
            "overlap" => "overlap_seconds",
            "expire_time" => "expires_at",
            "budget_per_day_micros" => "budget_per_day",
            "budget_per_month_micros" => "budget_per_month",
            "budget_total_micros" => "budget_total",
            "first_day" => "start_date",
            "last_day" => "end_date",
            "page_size" | "max_rows" => "limit",
            "page_token" => "after",
            "pictures" => "image",
            "delivery" => "response_format",
            "parameters_json" => "parameters",
            "schema_json" => "schema",
            name => name,
        };
        path.push(format!("{name}{index}"));
    }
    Some(path.join(".")).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::to_json_path;

    #[test]
    fn contract_paths_become_json_paths() {
        for (contract, json) in [
            ("prompt", Some("prompt")),
            ("image.prompt", Some("prompt")),
            ("chat.messages[2].role", Some("messages[2].role")),
            ("messages[0].text", Some("messages[0].content")),
            ("messages[0].parts[1].text", Some("messages[0].content[1].text")),
            ("messages[0].parts.parts[1].image_url.url", Some("messages[0].content[1].image_url.url")),
            ("tools[0].function.parameters_json", Some("tools[0].function.parameters")),
            ("response_format.json_schema.schema_json", Some("response_format.json_schema.schema")),
            ("tool_choice.mode", Some("tool_choice")),
            ("tool_choice.function_name", Some("tool_choice.function.name")),
            ("duration_seconds", Some("seconds")),
            ("overlap", Some("overlap_seconds")),
            ("expire_time", Some("expires_at")),
            ("limits.budget_per_day_micros", Some("limits.budget_per_day")),
            ("limits.models[1]", Some("limits.models[1]")),
            ("page_size", Some("limit")),
            ("first_day", Some("start_date")),
            ("last_day", Some("end_date")),
            ("max_rows", Some("limit")),
            ("page_token", Some("after")),
            ("pictures", Some("image")),
            ("image.pictures[1].data", Some("image[1]")),
            ("input_reference.url", Some("input_reference")),
            ("frame_images", Some("frame_images")),
            ("frame_images[1].image", Some("frame_images[1]")),
            ("frame_images[1].image.url", Some("frame_images[1]")),
            ("frame_images[0].position", Some("frame_images[0].frame_type")),
            ("input_references[0].media", Some("input_references[0]")),
            ("input_references[0].media.media_key", Some("input_references[0]")),
            ("input_references[2].kind", Some("input_references[2].type")),
            ("delivery", Some("response_format")),
            ("extra_json", None),
            ("request_json", None),
            ("input[2].content[0].image_url", Some("input[2].content[0].image_url")),
            ("text.format.schema", Some("text.format.schema")),
            ("", None),
        ] {
            assert_eq!(to_json_path(contract).as_deref(), json, "{contract}");
        }
    }
}
