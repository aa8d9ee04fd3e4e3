//! The names of attributes: the semantic conventions of OpenTelemetry for HTTP, RPC and generative AI (`gen_ai.*`, in development as
//! of 2026), and own ones.

use crate::modality::Modality;

/// The HTTP method.
pub const HTTP_METHOD: &str = "http.request.method";
/// The route.
pub const HTTP_ROUTE: &str = "http.route";
/// The HTTP status.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The RPC system, always `grpc`.
pub const RPC_SYSTEM: &str = "rpc.system";
/// The service and the method.
pub const RPC_METHOD: &str = "rpc.method";
/// The number of the gRPC code.
pub const RPC_STATUS: &str = "rpc.grpc.status_code";
/// The IP address of the client.
pub const CLIENT_ADDRESS: &str = "client.address";
/// The reason of a failure.
pub const ERROR_TYPE: &str = "error.type";
/// The operation of a model; see [`operation`].
pub const GEN_AI_OPERATION: &str = "gen_ai.operation.name";
/// The type of a model's output; see [`output`].
pub const GEN_AI_OUTPUT: &str = "gen_ai.output.type";
/// The name of the upstream or provider.
pub const GEN_AI_PROVIDER: &str = "gen_ai.provider.name";
/// The requested model.
pub const GEN_AI_MODEL: &str = "gen_ai.request.model";
/// Tokens of the prompt.
pub const GEN_AI_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens of the response.
pub const GEN_AI_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Seconds to the first output of a stream.
pub const FIRST_TOKEN: &str = "gen_ai.server.time_to_first_token";
/// The request id.
pub const REQUEST_ID: &str = "triptych.request.id";
/// The name of the API key.
pub const CALLER: &str = "triptych.caller";
/// The number of attempts at upstreams.
pub const ATTEMPTS: &str = "triptych.attempts";
/// The id of a video job.
pub const JOB_ID: &str = "triptych.job.id";
/// The state that a video job entered.
pub const JOB_STATE: &str = "triptych.job.state";

/// Returns the operation of a modality. For images and videos the conventions have only a general one.
pub fn operation(modality: Modality) -> &'static str {
    match modality {
        Modality::Chat => "chat",
        Modality::Image | Modality::Video => "generate_content",
    }
}

/// Returns the output type of a modality.
pub fn output(modality: Modality) -> &'static str {
    match modality {
        Modality::Chat => "text",
        Modality::Image => "image",
        Modality::Video => "video",
    }
}
