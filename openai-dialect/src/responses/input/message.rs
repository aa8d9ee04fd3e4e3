//! Message items.

use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part};

use super::{
    super::{error::InvalidRequest, fields::Fields},
    item::Message,
    part,
};

const ROLES: [&str; 4] = ["user", "assistant", "system", "developer"];

/// Reads a message, whose content is a text or an array of parts.
pub(super) fn read_message(mut fields: Fields<'_>) -> Result<Message, InvalidRequest> {
    let role = fields.required("role")?.one_of(&ROLES)?;
    let content = fields.required("content")?;
    let (content, refusal) = if content.is_string() {
        (Some(Content::Text(content.string()?)), None)
    } else {
        let parts = part::read_parts(&content)?;
        if role == "assistant" { assistant_content(parts) } else { (Some(part::to_content(parts)), None) }
    };
    // `phase` distinguishes commentary from answers of OpenAI's own models; a chat message has no place for it.
    fields.ignore(&["type", "id", "status", "phase"]);
    let extra_json = fields.into_extra();
    Ok(Message { role, content, refusal, extra_json })
}

/// Separates the refusal of an assistant, which is a member of a chat message, from its text.
fn assistant_content(parts: Vec<pb::ContentPart>) -> (Option<Content>, Option<String>) {
    let (mut others, mut refusal) = (Vec::new(), None::<String>);
    for part in parts {
        match part.part {
            Some(Part::Refusal(text)) => refusal.get_or_insert_default().push_str(&text),
            Some(_) | None => others.push(part),
        }
    }
    let is_refusal_only = others.is_empty() && refusal.is_some();
    ((!is_refusal_only).then(|| part::to_content(others)), refusal)
}
