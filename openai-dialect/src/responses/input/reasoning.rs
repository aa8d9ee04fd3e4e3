//! Reasoning items.

use super::{
    super::{
        error::InvalidRequest,
        fields::{Fields, Node},
    },
    item::Reasoning,
};

/// Reads a reasoning item. The text is that of `content`, or of `summary` if there is no content.
pub(super) fn read_reasoning(mut fields: Fields<'_>) -> Result<Reasoning, InvalidRequest> {
    let summary = fields.optional("summary", read_texts)?.unwrap_or_default();
    let content = fields.optional("content", read_texts)?.unwrap_or_default();
    let encrypted = fields.optional("encrypted_content", Node::string)?;
    Ok(Reasoning { text: if content.is_empty() { summary } else { content }, encrypted })
}

/// Reads the parts of a summary or of a content, and joins their texts.
fn read_texts(node: &Node<'_>) -> Result<String, InvalidRequest> {
    let mut texts = Vec::new();
    for part in node.array()? {
        texts.push(part.object()?.required("text")?.string()?);
    }
    Ok(texts.join("\n\n"))
}
