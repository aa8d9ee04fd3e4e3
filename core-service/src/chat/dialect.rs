//! In what the chat upstreams that call themselves OpenAI-compatible are not.
//!
//! What all of them get wrong in ways of their own (errors in streams, missing finish reasons, odd usage) is read
//! leniently from everybody. Here stands only what would be wrong to do to an upstream that behaves.

use std::sync::Arc;

use triptych_proto::v1 as pb;
use url::Url;

/// Whose reading of OpenAI's chat completions an upstream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's own, and of everybody not named here: vLLM, SGLang, llama.cpp, OpenRouter, Ark.
    Openai,
    /// Alibaba's DashScope, in its compatible mode.
    Dashscope,
    /// DeepSeek.
    Deepseek,
    /// Ollama.
    Ollama,
}

impl Dialect {
    /// What the address tells: the hosts of the services, and Ollama's own port.
    pub fn of(base: &Url) -> Self {
        let host = base.host_str().unwrap_or_default();
        if host.starts_with("dashscope") && host.ends_with(".aliyuncs.com") {
            Self::Dashscope
        } else if host == "api.deepseek.com" {
            Self::Deepseek
        } else if base.port() == Some(11434) {
            Self::Ollama
        } else {
            Self::Openai
        }
    }

    /// Whether `insufficient_quota` with status 429 means the tokens of this minute, not an empty account.
    pub(crate) fn quota_is_a_pace(self) -> bool {
        match self {
            Self::Dashscope => true,
            Self::Openai | Self::Deepseek | Self::Ollama => false,
        }
    }

    /// Whether this model of theirs refuses to answer whole. DashScope's first thinking models do.
    pub(crate) fn only_streams(self, model: &str) -> bool {
        match self {
            Self::Dashscope => ["qwq", "qvq"].iter().any(|name| starts_with(model, name)),
            Self::Openai | Self::Deepseek | Self::Ollama => false,
        }
    }

    /// Says a request in the upstream's words; copies it only if that changes it.
    pub(crate) fn adapt(self, model: &str, chat: &mut Arc<pb::ChatRequest>, stream: bool) {
        match self {
            Self::Openai => {}
            Self::Dashscope => {
                bound_by_max_tokens(chat);
                if !stream && thinks_unless_told(model) && !says(chat, "enable_thinking") {
                    add(&mut Arc::make_mut(chat).extra_json, r#""enable_thinking":false"#);
                }
            }
            Self::Deepseek | Self::Ollama => bound_by_max_tokens(chat),
        }
    }
}

/// These know only the older name, and a bound that is ignored in silence is none.
fn bound_by_max_tokens(chat: &mut Arc<pb::ChatRequest>) {
    if chat.max_completion_tokens.is_some() {
        let chat = Arc::make_mut(chat);
        let most = chat.max_completion_tokens.take();
        chat.max_tokens = chat.max_tokens.or(most);
    }
}

/// Open hybrid Qwen3 models think by default and then refuse whole answers. Others take no notice of the switch, but
/// for those that cannot stop thinking.
fn thinks_unless_told(model: &str) -> bool {
    starts_with(model, "qwen3") && !model.to_ascii_lowercase().contains("thinking")
}

fn starts_with(model: &str, name: &str) -> bool {
    model.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

fn says(chat: &pb::ChatRequest, name: &str) -> bool {
    !chat.extra_json.is_empty()
        && openai_dialect::extra_members(&chat.extra_json)
            .is_some_and(|members| members.iter().any(|(other, _)| other == name))
}

/// Adds a member to an `extra_json`, which the door has found to be an object.
fn add(extra: &mut String, member: &str) {
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
    fn the_address_tells_the_dialect() {
        let of = |base: &str| Dialect::of(&base.parse().unwrap());
        assert_eq!(of("https://dashscope.aliyuncs.com/compatible-mode/v1"), Dialect::Dashscope);
        assert_eq!(of("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"), Dialect::Dashscope);
        assert_eq!(of("https://dashscope.aliyuncs.com.example.com/v1"), Dialect::Openai);
        assert_eq!(of("https://api.deepseek.com"), Dialect::Deepseek);
        assert_eq!(of("http://localhost:11434/v1"), Dialect::Ollama);
        assert_eq!(of("http://localhost:8000/v1"), Dialect::Openai);
    }

    #[test]
    fn only_dashscopes_first_thinkers_refuse_to_answer_whole() {
        for (model, only) in [("qwq-plus", true), ("QVQ-max", true), ("qwen3-8b", false), ("qw", false), ("", false)] {
            assert_eq!(Dialect::Dashscope.only_streams(model), only, "{model}");
            assert!(!Dialect::Openai.only_streams(model));
        }
    }

    #[test]
    fn a_hybrid_model_is_told_not_to_think_unless_the_caller_said_something() {
        let adapted = |model: &str, extra: &str, stream: bool| {
            let mut chat = Arc::new(pb::ChatRequest { extra_json: extra.to_owned(), ..pb::ChatRequest::default() });
            Dialect::Dashscope.adapt(model, &mut chat, stream);
            chat.extra_json.clone()
        };
        assert_eq!(adapted("qwen3-8b", "", false), r#"{"enable_thinking":false}"#);
        assert_eq!(adapted("qwen3-8b", "{ }", false), r#"{"enable_thinking":false}"#);
        assert_eq!(adapted("qwen3-8b", r#"{"a":1}"#, false), r#"{"enable_thinking":false,"a":1}"#);
        for said in [r#"{"enable_thinking":true}"#, r#"{"enable_thinking":null}"#] {
            assert_eq!(adapted("qwen3-8b", said, false), said);
        }
        assert_eq!(adapted("qwen3-8b", "", true), "");
        assert_eq!(adapted("qwen3-next-80b-a3b-thinking", "", false), "");
        assert_eq!(adapted("qwq-plus", "", false), "");
    }

    #[test]
    fn the_bound_reaches_upstreams_that_know_its_older_name_alone() {
        let bound = |dialect: Dialect, max_completion_tokens, max_tokens| {
            let mut chat =
                Arc::new(pb::ChatRequest { max_completion_tokens, max_tokens, ..pb::ChatRequest::default() });
            dialect.adapt("m", &mut chat, true);
            (chat.max_completion_tokens, chat.max_tokens)
        };
        for dialect in [Dialect::Ollama, Dialect::Deepseek, Dialect::Dashscope] {
            assert_eq!(bound(dialect, Some(5), None), (None, Some(5)));
            assert_eq!(bound(dialect, Some(5), Some(4)), (None, Some(4)));
        }
        assert_eq!(bound(Dialect::Openai, Some(5), None), (Some(5), None));
    }
}
