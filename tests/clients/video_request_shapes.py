"""The bodies of submissions to video providers, as their vendors document them, in the notation of `shapes.py`."""

import re

TEXT = re.compile(r".+", re.DOTALL)
URL = re.compile(r"https?://.+")
DATA_URL = re.compile(r"data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/=]+")
PICTURE = re.compile(f"{URL.pattern}|{DATA_URL.pattern}")
URL_OR_BASE64 = re.compile(rf"{URL.pattern}|[A-Za-z0-9+/=]+")
# Width and height.
PIXELS = re.compile(r"\d+x\d+")


def parts():
    """Returns the shape of the parts that Ark and MiniMax have in common."""
    text = {"type": {"text"}, "text": TEXT}
    image = {"type": {"image_url"}, "image_url": {"url": PICTURE}, "role?": {"first_frame", "last_frame", "reference_image"}}
    video = {"type": {"video_url"}, "video_url": {"url": URL}, "role": {"reference_video"}}
    audio = {"type": {"audio_url"}, "audio_url": {"url": URL}, "role": {"reference_audio"}}
    return [(text, image, video, audio)]


def minimax_ratio(body):
    """Returns the fault of a body for MiniMax, or None. Without frames the ratio is required and cannot be `adaptive`; with frames
    it must be left out."""
    has_frame = any(part.get("role") in ("first_frame", "last_frame") for part in body["content"])
    if has_frame:
        return "ratio with a frame" if "ratio" in body else None
    return None if body.get("ratio", "adaptive") != "adaptive" else "no ratio"


def adaptive_with_frame(body):
    """Returns the fault of a body for Seedance, or None. With a frame the ratio is left out or `adaptive`."""
    has_frame = any(part.get("role") in ("first_frame", "last_frame") for part in body["content"])
    return "ratio with a frame" if has_frame and body.get("ratio") not in (None, "adaptive") else None


def size_of_model(body):
    """Returns the fault of a body for Wan, or None. Models up to 2.6 have a size or a resolution, later ones a resolution and a
    ratio: a body with both a size and a resolution is wrong for each of them."""
    parameters = body.get("parameters", {})
    return "both size and resolution" if {"size", "resolution"} <= parameters.keys() else None


RATIOS = {"16:9", "9:16", "4:3", "3:4", "1:1", "21:9", "adaptive"}
SEEDANCE = {
    "model": TEXT, "content": parts(), "resolution?": {"480p", "720p", "1080p", "4k"}, "ratio?": RATIOS,
    "duration?": (range(2, 31), {-1}), "seed?": range(-1, 1 << 32), "watermark?": bool, "generate_audio?": bool,
    "camera_fixed?": bool, "return_last_frame?": bool, "service_tier?": {"default", "flex"}, "callback_url?": URL,
    "safety_identifier?": re.compile(".{1,64}"), "omni_reference_task_type?": {"auto", "reference", "edit", "extend"},
}
KLING_COMMON = {
    "model_name": TEXT, "prompt": re.compile(r".{1,2500}", re.DOTALL), "negative_prompt?": TEXT, "mode?": {"std", "pro", "4k"},
    "duration?": re.compile(r"[3-9]|1[0-5]"), "aspect_ratio?": {"16:9", "9:16", "1:1"}, "sound?": {"on", "off"},
    "cfg_scale?": (int, float), "external_task_id?": TEXT, "callback_url?": URL,
}
KLING_IMAGE = KLING_COMMON | {"image": URL_OR_BASE64, "image_tail?": URL_OR_BASE64}
KLING_OMNI = KLING_COMMON | {
    "image_list?": [{"image_url": URL_OR_BASE64, "type?": {"first_frame", "end_frame"}}],
    "video_list?": [{"video_url": URL, "refer_type": {"base", "feature"}, "keep_original_sound?": {"yes", "no"}}],
}
WAN_MEDIA = {"first_frame", "last_frame", "reference_image", "reference_video", "reference_audio", "first_clip", "file", "link"}
WAN = {
    "model": TEXT,
    "input": {
        "prompt?": TEXT, "negative_prompt?": TEXT, "img_url?": PICTURE, "media?": [{"type": WAN_MEDIA, "url": PICTURE}],
        "audio_url?": URL, "extend_prompt?": bool, "function?": {"video-synthesis"},
    },
    "parameters": {
        "size?": re.compile(r"\d+\*\d+"), "resolution?": {"480P", "720P", "1080P"}, "ratio?": RATIOS,
        "duration?": (range(2, 31), {-1}), "seed?": range(1 << 31), "watermark?": bool, "prompt_extend?": bool, "audio?": bool,
    },
}
MINIMAX = {
    "model": re.compile("MiniMax-H3(-Max)?"), "content": parts(), "resolution?": {"480P", "768P", "2K"},
    "duration?": range(4, 16), "ratio?": RATIOS, "callback_url?": URL,
}
HAILUO = {
    "model": TEXT, "prompt": TEXT, "duration?": {6, 10}, "resolution?": {"512P", "768P", "1080P"},
    "first_frame_image?": PICTURE, "last_frame_image?": PICTURE, "prompt_optimizer?": bool, "aigc_watermark?": bool,
}
OMNI_TASKS = {"text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale"}
OMNI_INPUT = [(
    {"type": {"text"}, "text": TEXT},
    {"type": {"image"}, "data": TEXT, "mime_type": {"image/png", "image/jpeg", "image/webp"}},
    {"type": {"image", "video"}, "uri": URL, "mime_type?": TEXT},
)]
# Google's client puts the parts into a step.
OMNI_STEPS = [{"type": {"user_input"}, "content": OMNI_INPUT}]
OMNI = {
    "model": TEXT, "background": {True}, "input": (OMNI_INPUT, OMNI_STEPS),
    "response_format": {
        "type": {"video"}, "aspect_ratio?": {"16:9", "9:16"}, "duration?": re.compile(r"([3-9]|1[0-5])s"),
        "resolution?": {"360p", "720p", "1080p", "4k"}, "delivery": {"uri"},
    },
    "generation_config?": {"video_config": {"task": OMNI_TASKS}},
}
VEO_IMAGE = {"bytesBase64Encoded": TEXT, "mimeType": {"image/png", "image/jpeg"}}
VEO = {
    "instances": [{"prompt": TEXT, "image?": VEO_IMAGE, "lastFrame?": VEO_IMAGE}],
    "parameters?": {
        "aspectRatio?": {"16:9", "9:16"}, "resolution?": {"720p", "1080p", "4k"}, "durationSeconds?": {4, 6, 8},
        "negativePrompt?": TEXT, "personGeneration?": TEXT, "sampleCount?": range(1, 5),
    },
}
BUCKET = re.compile(r"gs://.+")
VERTEX_OMNI = OMNI | {"response_format": OMNI["response_format"] | {"gcs_uri": BUCKET}}
VERTEX_VEO = VEO | {
    "parameters": VEO["parameters?"] | {"generateAudio": bool, "storageUri": BUCKET, "sampleCount": {1}, "seed?": range(1 << 32)},
}
del VERTEX_VEO["parameters?"], VERTEX_VEO["parameters"]["sampleCount?"]
OPENAI = {
    "model": TEXT, "prompt": TEXT, "seconds?": re.compile(r"\d+"), "size?": PIXELS, "seed?": re.compile(r"\d+"),
    "input_reference?": {"filename": re.compile(r".+\.(png|jpg|webp)"), "type": {"image/png", "image/jpeg", "image/webp"}, "bytes": range(1, 1 << 24)},
}
RUNWAY_TEXT = {
    "model": TEXT, "promptText": re.compile(r".{1,1000}", re.DOTALL), "ratio": re.compile(r"\d+:\d+"), "duration": range(2, 31),
    "seed?": range(1 << 32), "audio?": bool, "negativePrompt?": TEXT, "references?": [{"uri": PICTURE}],
    "referenceVideos?": [{"type": {"video"}, "uri": URL}], "referenceAudio?": [{"type": {"audio"}, "uri": URL}],
}
RUNWAY_FRAMES = [{"uri": PICTURE, "position": {"first", "last"}}]
RUNWAY_IMAGE = RUNWAY_TEXT | {"promptImage": (PICTURE, RUNWAY_FRAMES)}
FAL = {
    "prompt": TEXT, "duration?": {"4s", "6s", "8s"}, "resolution?": {"720p", "1080p", "4k"}, "aspect_ratio?": {"auto", "16:9", "9:16"},
    "generate_audio?": bool, "negative_prompt?": TEXT, "seed?": int, "auto_fix?": bool,
}
MIDJOURNEY = {
    "prompt?": TEXT, "image": PICTURE, "endImage?": PICTURE, "motion": {"low", "high"}, "loop?": bool,
    "videoType?": {"vid_1.1_i2v_480", "vid_1.1_i2v_720"}, "batchSize?": {1, 2, 4}, "state?": re.compile(r".{1,255}"),
}
XAI = {
    "model": TEXT, "prompt": TEXT, "duration?": range(1, 16), "resolution?": {"480p", "720p", "1080p"},
    "aspect_ratio?": {"16:9", "3:2", "4:3", "1:1", "3:4", "2:3", "9:16"}, "image?": {"url": PICTURE},
    "last_frame?": {"url": PICTURE}, "reference_images?": [{"url": PICTURE}], "user?": TEXT,
}
VIDU_TEXT = {
    "model": TEXT, "prompt": TEXT, "duration?": range(1, 17), "resolution?": {"540p", "720p", "1080p"},
    "aspect_ratio?": {"16:9", "9:16", "1:1"}, "seed?": int, "audio?": bool, "payload?": TEXT, "callback_url?": URL,
}
VIDU_IMAGE = VIDU_TEXT | {"images": [PICTURE]}
del VIDU_IMAGE["aspect_ratio?"]
