//! Known deviations of "OpenAI-compatible" chat upstreams.
//!
//! Deviations that can be tolerated at every upstream (errors within streams, missing finish reasons, unusual usage) are
//! handled where responses are read. Here are only those whose treatment would be wrong at a conforming upstream.

use std::sync::Arc;

use triptych_proto::v1 as pb;
use url::Url;

/// The dialect of OpenAI's chat completions that an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's own, also spoken by all upstreams that are not named here: vLLM, SGLang, llama.cpp, OpenRouter, Ark.
    Openai,
    /// Alibaba's DashScope, in its compatible mode.
    Dashscope,
    /// DeepSeek.
    Deepseek,
    /// Ollama.
    Ollama,
}

impl Dialect {
    /// Returns the dialect of an address, by the hosts of the services and by Ollama's default port.
    pub fn from_base_url(base: &Url) -> Self {
        let host = base.host_str().unwrap_or_default();
        // Workspaces can have a domain of their own.
        if host.starts_with("dashscope") && host.ends_with(".aliyuncs.com") || host.ends_with(".maas.aliyuncs.com") {
            Self::Dashscope
        } else if host == "api.deepseek.com" {
            Self::Deepseek
        } else if base.port() == Some(11434) {
            Self::Ollama
        } else {
            Self::Openai
        }
    }

    /// Returns whether `insufficient_quota` with status 429 is a rate limit (tokens per minute), not an empty account.
    pub(crate) fn quota_is_rate_limit(self) -> bool {
        match self {
            Self::Dashscope => true,
            Self::Openai | Self::Deepseek | Self::Ollama => false,
        }
    }

    /// Returns whether this model rejects non-streaming requests, as DashScope's first thinking models do.
    pub(crate) fn only_streams(self, model: &str) -> bool {
        match self {
            Self::Dashscope => ["qwq", "qvq"].iter().any(|name| starts_with(model, name)),
            Self::Openai | Self::Deepseek | Self::Ollama => false,
        }
    }

    /// Adapts a streaming request to the dialect; copies it only if it changes.
    pub(crate) fn adapt_streaming(self, chat: &mut Arc<pb::ChatRequest>) {
        self.adapt_token_limit(chat);
    }

    /// Adapts a non-streaming request to the dialect; copies it only if it changes.
    pub(crate) fn adapt_non_streaming(self, model: &str, chat: &mut Arc<pb::ChatRequest>) {
        self.adapt_token_limit(chat);
        if self == Self::Dashscope && thinks_by_default(model) && !has_member(chat, "enable_thinking") {
            add_member(&mut Arc::make_mut(chat).extra_json, r#""enable_thinking":false"#);
        }
    }

    fn adapt_token_limit(self, chat: &mut Arc<pb::ChatRequest>) {
        match self {
            Self::Openai => {}
            Self::Dashscope | Self::Deepseek | Self::Ollama => use_max_tokens(chat),
        }
    }
}

/// Moves `max_completion_tokens` to `max_tokens`, for upstreams that silently ignore the newer name.
fn use_max_tokens(chat: &mut Arc<pb::ChatRequest>) {
    if chat.max_completion_tokens.is_some() {
        let chat = Arc::make_mut(chat);
        let limit = chat.max_completion_tokens.take();
        chat.max_tokens = chat.max_tokens.or(limit);
    }
}

/// Returns whether a model thinks by default and then rejects non-streaming requests: the open Qwen3 models that can also respond
/// without thinking (hybrid models). Other models ignore `enable_thinking`, except those that cannot stop thinking, which reject
/// it.
fn thinks_by_default(model: &str) -> bool {
    starts_with(model, "qwen3") && !model.to_ascii_lowercase().contains("thinking")
}

fn starts_with(model: &str, name: &str) -> bool {
    model.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

fn has_member(chat: &pb::ChatRequest, name: &str) -> bool {
    !chat.extra_json.is_empty()
        && openai_dialect::extra_members(&chat.extra_json)
            .is_some_and(|members| members.iter().any(|(other, _)| other == name))
}

/// Adds a member to an `extra_json`, which validation has found to be an object or empty.
fn add_member(extra: &mut String, member: &str) {
    let rest = extra.trim().strip_prefix('{').map(str::trim_start);
    *extra = match rest {
        None | Some("}") => format!("{{{member}}}"),
        Some(rest) => format!("{{{member},{rest}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_determines_the_dialect() {
        let of = |base: &str| Dialect::from_base_url(&base.parse().unwrap());
        assert_eq!(of("https://dashscope.aliyuncs.com/compatible-mode/v1"), Dialect::Dashscope);
        assert_eq!(of("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"), Dialect::Dashscope);
        assert_eq!(of("https://ws1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1"), Dialect::Dashscope);
        assert_eq!(of("https://dashscope.aliyuncs.com.example.com/v1"), Dialect::Openai);
        assert_eq!(of("https://api.deepseek.com"), Dialect::Deepseek);
        assert_eq!(of("http://localhost:11434/v1"), Dialect::Ollama);
        assert_eq!(of("http://localhost:8000/v1"), Dialect::Openai);
    }

    #[test]
    fn only_qwq_and_qvq_at_dashscope_are_stream_only() {
        for (model, only) in [("qwq-plus", true), ("QVQ-max", true), ("qwen3-8b", false), ("qw", false), ("", false)] {
            assert_eq!(Dialect::Dashscope.only_streams(model), only, "{model}");
            assert!(!Dialect::Openai.only_streams(model));
        }
    }

    #[test]
    fn thinking_is_disabled_for_hybrid_models_unless_the_client_sets_it() {
        let adapted = |model: &str, extra: &str| {
            let mut chat = Arc::new(pb::ChatRequest { extra_json: extra.to_owned(), ..pb::ChatRequest::default() });
            Dialect::Dashscope.adapt_non_streaming(model, &mut chat);
            chat.extra_json.clone()
        };
        assert_eq!(adapted("qwen3-8b", ""), r#"{"enable_thinking":false}"#);
        assert_eq!(adapted("qwen3-8b", "{ }"), r#"{"enable_thinking":false}"#);
        assert_eq!(adapted("qwen3-8b", r#"{"a":1}"#), r#"{"enable_thinking":false,"a":1}"#);
        for extra in [r#"{"enable_thinking":true}"#, r#"{"enable_thinking":null}"#] {
            assert_eq!(adapted("qwen3-8b", extra), extra);
        }
        assert_eq!(adapted("qwen3-next-80b-a3b-thinking", ""), "");
        assert_eq!(adapted("qwq-plus", ""), "");
        let mut streaming = Arc::new(pb::ChatRequest::default());
        Dialect::Dashscope.adapt_streaming(&mut streaming);
        assert_eq!(streaming.extra_json, "");
    }

    #[test]
    fn max_completion_tokens_becomes_max_tokens_in_dialects_that_need_it() {
        let limits = |dialect: Dialect, max_completion_tokens, max_tokens| {
            let mut chat =
                Arc::new(pb::ChatRequest { max_completion_tokens, max_tokens, ..pb::ChatRequest::default() });
            dialect.adapt_streaming(&mut chat);
            (chat.max_completion_tokens, chat.max_tokens)
        };
        for dialect in [Dialect::Ollama, Dialect::Deepseek, Dialect::Dashscope] {
            assert_eq!(limits(dialect, Some(5), None), (None, Some(5)));
            assert_eq!(limits(dialect, Some(5), Some(4)), (None, Some(4)));
        }
        assert_eq!(limits(Dialect::Openai, Some(5), None), (Some(5), None));
    }
}
