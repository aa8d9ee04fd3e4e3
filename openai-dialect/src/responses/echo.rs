//! The members of a response that repeat the request.

/// The service tiers that a response may name, according to OpenAI's description.
const SERVICE_TIERS: [&str; 7] = ["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];

/// The members. A `String` is JSON text.
#[derive(Debug, Clone)]
pub(super) struct Echo {
    pub(super) background: bool,
    pub(super) instructions: String,
    pub(super) max_output_tokens: String,
    pub(super) max_tool_calls: String,
    pub(super) metadata: String,
    pub(super) parallel_tool_calls: bool,
    /// The id itself, not its JSON.
    pub(super) previous_response_id: Option<String>,
    pub(super) prompt_cache_key: String,
    pub(super) reasoning: String,
    pub(super) safety_identifier: String,
    pub(super) service_tier: String,
    pub(super) store: bool,
    pub(super) temperature: String,
    pub(super) text: String,
    pub(super) tool_choice: String,
    pub(super) tools: String,
    pub(super) top_logprobs: String,
    pub(super) top_p: String,
    pub(super) truncation: &'static str,
    /// JSON text; a response without it has no member `user`.
    pub(super) user: Option<String>,
}

impl Default for Echo {
    /// Returns the members of a request with `input` alone. The sampling parameters of the upstream are unknown, so `null`.
    fn default() -> Self {
        let null = || "null".to_owned();
        Self {
            background: false,
            instructions: null(),
            max_output_tokens: null(),
            max_tool_calls: null(),
            metadata: "{}".to_owned(),
            parallel_tool_calls: true,
            previous_response_id: None,
            prompt_cache_key: null(),
            reasoning: r#"{"effort":null,"summary":null}"#.to_owned(),
            safety_identifier: null(),
            service_tier: null(),
            store: true,
            temperature: null(),
            text: r#"{"format":{"type":"text"}}"#.to_owned(),
            tool_choice: "\"auto\"".to_owned(),
            tools: "[]".to_owned(),
            top_logprobs: "0".to_owned(),
            top_p: null(),
            truncation: "disabled",
            user: None,
        }
    }
}

impl Echo {
    /// Replaces the service tier by the one that the upstream used. Tiers that OpenAI's description does not list are not
    /// repeated, because strict clients reject the response.
    pub(super) fn set_service_tier(&mut self, tier: &str) {
        if SERVICE_TIERS.contains(&tier) {
            self.service_tier = format!("\"{tier}\"");
        }
    }

    /// Removes white space between the tokens of members that are objects or arrays of the client, which may span lines: an
    /// event is one line.
    pub(super) fn compact(&mut self) {
        for json in [&mut self.metadata, &mut self.reasoning, &mut self.text, &mut self.tool_choice, &mut self.tools] {
            compact(json);
        }
    }

    /// Returns the JSON of `service_tier`.
    pub(super) fn service_tier(&self) -> &str {
        let is_known = SERVICE_TIERS.iter().any(|tier| self.service_tier.trim_matches('"') == *tier);
        if is_known { &self.service_tier } else { "null" }
    }
}

/// Removes white space between the tokens of JSON.
pub(super) fn compact(json: &mut String) {
    let (mut in_string, mut escaped) = (false, false);
    json.retain(|character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        in_string || !character.is_ascii_whitespace()
    });
}
