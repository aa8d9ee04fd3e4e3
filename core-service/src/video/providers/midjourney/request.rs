//! The request body of `submit/video`, the endpoint of midjourney-proxy that animates an image or extends a video.

use openai_dialect::extra_members;

use crate::{
    error::ProviderError,
    json::{JsonObject, is_equivalent},
    video::{Operation, RenderRequest, inputs::InputRole, parameters::VideoParameters},
};

/// Members that clients cannot set: prompt and inputs, the resolution (`videoType`), the number of videos (`batchSize`), the source of
/// an extension (`action`, `taskId`, `index`), the id of the job (`state`), and a URL that the proxy would call (`notifyHook`). Case is
/// ignored, because proxies in Go and C# ignore it.
const RESERVED: [&str; 10] =
    ["prompt", "image", "endImage", "state", "videoType", "batchSize", "notifyHook", "action", "taskId", "index"];

/// Resolutions, and the `videoType` of each. For another resolution the member is not sent, and the proxy decides.
const VIDEO_TYPES: [(&str, &str); 2] = [("480p", "vid_1.1_i2v_480"), ("720p", "vid_1.1_i2v_720")];

/// Encodes a request. The proxy returns `job_id` with the task.
///
/// # Errors
/// [`ProviderError::Refused`] without a first frame.
pub(super) fn encode(request: &RenderRequest, job_id: &str) -> Result<String, ProviderError> {
    let VideoParameters { prompt, operation, source, resolution, extra_json, .. } = &request.parameters;
    let mut members = JsonObject::default();
    // On one line: Midjourney's bot reads a prompt up to its first line break.
    members.add("prompt", prompt.split_whitespace().collect::<Vec<_>>().join(" "));
    match (operation, source, request.input(InputRole::FirstFrame)) {
        (Operation::Extend, Some(task), _) => {
            members.add("action", "extend");
            members.add("taskId", task.0.as_str());
            // The first video of the task, which is the one that a job stores.
            members.add("index", 0);
        }
        (_, _, Some(first_frame)) => members.add("image", first_frame.url()),
        (_, _, None) => {
            let message = "this model animates an image; send one as `input_reference`".to_owned();
            return Err(ProviderError::Refused { message, field: Some("input_reference".to_owned()) });
        }
    }
    if let Some(last_frame) = request.input(InputRole::LastFrame) {
        members.add("endImage", last_frame.url());
    }
    if let Some((_, video_type)) = VIDEO_TYPES.iter().find(|(name, _)| name == resolution) {
        members.add("videoType", *video_type);
    }
    members.add("batchSize", 1);
    members.add("state", job_id);
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if !RESERVED.iter().any(|reserved| is_equivalent(&name, reserved)) {
            members.add_raw(&name, value);
        }
    }
    // The default of the gateway, after the members of the client: `add` has no effect if the client sent `motion` in any case.
    members.add("motion", "low");
    Ok(members.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::video::{
        Slot, UpstreamTask,
        inputs::{InputContent, RenderInput},
        testing,
    };

    /// Encodes a request in 720p with a link for each of these roles.
    fn encoded(roles: &[InputRole], extra_json: &str) -> Result<Value, ProviderError> {
        let mut parameters = testing::request().parameters;
        (parameters.resolution, parameters.prompt) = ("720p".to_owned(), "a boat\n at dusk".to_owned());
        parameters.extra_json = extra_json.to_owned();
        let content = || InputContent::Link("https://a.test/i.png".to_owned());
        let inputs = roles.iter().map(|role| RenderInput { role: *role, content: content() }).collect();
        let body = encode(&RenderRequest { parameters, inputs, slot: Slot::default() }, "video_1")?;
        Ok(serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn frames_job_id_and_type_are_sent_and_cannot_be_replaced_while_motion_can() {
        let extra =
            r#"{"motion":"high","loop":true,"NotifyHook":"http://10.0.0.1","STATE":"x","batchSize":4,"image":"y"}"#;
        let expected = json!({"prompt": "a boat at dusk", "image": "https://a.test/i.png",
            "endImage": "https://a.test/i.png", "videoType": "vid_1.1_i2v_720", "batchSize": 1, "state": "video_1",
            "motion": "high", "loop": true});
        assert_eq!(encoded(&[InputRole::FirstFrame, InputRole::LastFrame], extra), Ok(expected));
        assert_eq!(encoded(&[InputRole::FirstFrame], "").unwrap()["motion"], "low");
        // Go takes `ſ` for an `s`, and of two members that it takes for the same one, the last.
        let folded = encoded(&[InputRole::FirstFrame], r#"{"ſtate":"x","batchſize":4,"Motion":"high"}"#);
        let expected = json!({"prompt": "a boat at dusk", "image": "https://a.test/i.png",
            "videoType": "vid_1.1_i2v_720", "batchSize": 1, "state": "video_1", "Motion": "high"});
        assert_eq!(folded, Ok(expected));
        assert!(matches!(encoded(&[], ""), Err(ProviderError::Refused { .. })));
    }

    #[test]
    fn extension_names_the_task_of_its_source() {
        let mut parameters = testing::request().parameters;
        (parameters.operation, parameters.source) = (Operation::Extend, Some(UpstreamTask("17".to_owned())));
        parameters.extra_json = r#"{"index":3,"taskId":"18"}"#.to_owned();
        let request = RenderRequest { parameters, inputs: Vec::new(), slot: Slot::default() };
        let body: Value = serde_json::from_str(&encode(&request, "video_1").unwrap()).unwrap();
        let expected = json!({"prompt": "a boat", "action": "extend", "taskId": "17", "index": 0, "batchSize": 1,
            "state": "video_1", "motion": "low"});
        assert_eq!(body, expected);
    }
}
