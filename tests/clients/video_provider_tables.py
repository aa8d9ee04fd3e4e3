"""The video APIs of all providers, as their vendors document them: requests, and the fixtures that respond to them."""

import json
from pathlib import Path
from typing import NamedTuple

import video_request_shapes as shapes

KEY = "test-key"


class Api(NamedTuple):
    """One way to make a video. In paths `PATH` stands for that of the submission, `APP` for its first two segments, `ID` for the
    id of the task."""

    submit: str  # method and path of the submission, a regular expression
    body: dict  # the shape of the submission (shapes.py)
    created: str  # the fixture that answers it
    poll: str  # method and path
    states: tuple[str, ...]  # the fixtures for the polls, one after the other; the last stays
    files: tuple[str, ...]  # the paths of the results
    file_has_key: bool = False  # whether the request for a file must have the key; otherwise it must not
    link: tuple[str, str] = ()  # the request for the link, if it is one of its own, and its fixture
    cancel: tuple[str, str] = ()  # the request to stop the task, and its fixture
    cancelled: str = ""  # the fixture for polls of a stopped task
    headers: dict[str, str] = {}  # further headers of the submission
    rule: object = None  # a function that returns the problem of a body that has the right shape, or None


class Provider(NamedTuple):
    settings: dict[str, str]  # Triptych's environment variables; `URL` stands for that of the scripted provider
    header: tuple[str, str]  # name and value of the header with the key
    models: tuple[str, ...]  # for all checks
    apis: list[Api]
    parameter_models: tuple[str, ...] = ()  # for the check of all parameters only
    no_headers: tuple[str, ...] = ()  # headers that must not be sent
    has_nulls: bool = False  # the vendor's client sends members without a value as null
    needs_picture: bool = False
    token: str = ""  # the path that exchanges an assertion of a service account for the key
    lists: dict[str, object] = {}  # by method and path: a function that makes the response from the fixtures of the tasks


def kling(endpoint, body):
    states = ("processing.json", "processing.json", "succeed.json")
    return Api(f"POST /v1/videos/{endpoint}", body, "created.json", "GET PATH/ID", states, ("/cdn/ID.mp4",))


def fal(endpoint, body):
    return Api(
        f"POST /fal-ai/veo3.1{endpoint}", body, "created.json", "GET APP/requests/ID/status",
        ("queued.202.json", "in-progress.202.json", "completed.json"), ("/files/ID.mp4",), link=("GET APP/requests/ID", "result.json"),
        cancel=("PUT APP/requests/ID/cancel", "cancellation.202.json"), cancelled="request.404.json",
    )


def runway(endpoint, body):
    return Api(
        f"POST /v1/{endpoint}", body, "created.json", "GET /v1/tasks/ID",
        ("pending.json", "throttled.json", "running.json", "succeeded.json"), ("/output/ID.mp4",),
        cancel=("DELETE /v1/tasks/ID", "deleted.204.json"), cancelled="cancelled.json", headers={"x-runway-version": "2024-11-06"},
    )


def openai(path, body):
    return Api(
        f"POST {path}", body, "queued.json", "GET /v1/videos/ID", ("queued.json", "in-progress.json", "completed.json"),
        ("/v1/videos/ID/content",), file_has_key=True, cancel=("DELETE /v1/videos/ID", "deletion.json"), cancelled="not-found.404.json",
    )


def vidu(endpoint, body):
    return Api(
        f"POST /ent/v2/{endpoint}", body, "created.json", "GET /ent/v2/tasks/ID/creations",
        ("queueing.json", "processing.json", "success.json"), ("/s3/ID.mp4", "/s3/ID.jpg"),
        cancel=("POST /ent/v2/tasks/ID/cancel", "deleted.json"), cancelled="cancelled.json",
    )


def service_account():
    """Returns the file of a service account's key, whose tokens come from the scripted provider."""
    data = (Path(__file__).parents[1] / "fixtures/keys/service-account.pkcs8.base64").read_text()
    # The label is apart from the dashes, so that searches for keys do not find this line.
    label = "PRIVATE KEY"
    return json.dumps({
        "type": "service_account", "project_id": "project-1", "private_key_id": "key-1",
        "private_key": f"-----BEGIN {label}-----\n{data}-----END {label}-----\n",
        "client_email": "video@project-1.iam.gserviceaccount.com", "token_uri": "URL/token",
    })


# The path of the result in Cloud Storage.
VERTEX_OBJECT = "/storage/v1/b/bucket-1/o/videos%2FID%2Fsample_0.mp4?alt=media"
VERTEX_MODELS = "locations/us-central1/publishers/google/models"
PROVIDERS = {
    "seedance": Provider(
        {"ARK_API_KEY": KEY, "TRIPTYCH_VIDEO_SEEDANCE_BASE_URL": "URL/api/v3"}, ("authorization", f"Bearer {KEY}"),
        ("doubao-seedance-1-5-pro-251215",), parameter_models=("doubao-seedance-2-0-260128",), has_nulls=True,
        apis=[Api(
            "POST /api/v3/contents/generations/tasks", shapes.SEEDANCE, "created.json", "GET PATH/ID",
            ("queued.json", "running.json", "succeeded.json"), ("/tos/ID.mp4",), cancel=("DELETE PATH/ID", "deleted.json"),
            cancelled="cancelled.json", rule=shapes.adaptive_with_frame,
        )],
        lists={"GET /api/v3/contents/generations/tasks": lambda tasks: {"total": len(tasks), "items": tasks}},
    ),
    "kling": Provider(
        {"KLING_API_KEY": KEY, "TRIPTYCH_VIDEO_KLING_BASE_URL": "URL"}, ("authorization", f"Bearer {KEY}"),
        ("kling-v3", "kling-v3-omni"),
        [kling("text2video", shapes.KLING_COMMON), kling("image2video", shapes.KLING_IMAGE), kling("omni-video", shapes.KLING_OMNI)],
        parameter_models=("kling-v3-turbo", "kling-v2-6"),
    ),
    "wan": Provider(
        {"DASHSCOPE_API_KEY": KEY, "TRIPTYCH_VIDEO_WAN_BASE_URL": "URL"}, ("authorization", f"Bearer {KEY}"), ("wan3.0-video", "wan2.6"),
        [Api(
            "POST /api/v1/services/aigc/video-generation/video-synthesis", shapes.WAN, "created.json", "GET /api/v1/tasks/ID",
            ("pending.json", "running.json", "succeeded.json"), ("/oss/ID.mp4",), cancel=("POST /api/v1/tasks/ID/cancel", "cancelled.json"),
            cancelled="canceled.json", headers={"x-dashscope-async": "enable"}, rule=shapes.size_of_model,
        )],
        parameter_models=("wan2.7", "happyhorse-1.1"),
        lists={"GET /api/v1/tasks": lambda tasks: {
            "request_id": "l-1", "total": len(tasks), "data": [task["output"] for task in tasks], "page_no": 1, "page_size": 10, "total_page": 1,
        }},
    ),
    "minimax": Provider(
        {
            "MINIMAX_API_KEY": KEY, "TRIPTYCH_VIDEO_MINIMAX_BASE_URL": "URL",
            "TRIPTYCH_VIDEO_MINIMAX_MODELS": "MiniMax-H3,MiniMax-Hailuo-02",
        },
        ("authorization", f"Bearer {KEY}"), ("MiniMax-H3", "MiniMax-Hailuo-02"),
        [Api(
            "POST /v2/video_generation", shapes.MINIMAX, "created.json", "GET /v2/query/video_generation/ID",
            ("queued.json", "running.json", "succeeded.json"), ("/cdn/ID.mp4",), cancel=("DELETE /v2/video_generation/ID", "deleted.json"),
            cancelled="cancelled.json", rule=shapes.minimax_ratio,
        ), Api(
            "POST /v1/video_generation", shapes.HAILUO, "v1-created.json", "GET /v1/query/video_generation?task_id=ID",
            ("v1-processing.json", "v1-success.json"), ("/cdn/ID.mp4",), link=("GET /v1/files/retrieve?file_id=file-ID", "v1-file.json"),
        )],
    ),
    "gemini": Provider(
        {
            "GEMINI_API_KEY": KEY, "TRIPTYCH_VIDEO_GEMINI_BASE_URL": "URL/v1beta",
            "TRIPTYCH_VIDEO_GEMINI_MODELS": "gemini-omni-1.2-flash,veo-3.1-fast-generate-001",
        },
        ("x-goog-api-key", KEY), ("gemini-omni-1.2-flash", "veo-3.1-fast-generate-001"),
        [Api(
            "POST /v1beta/interactions", shapes.OMNI, "created.json", "GET PATH/ID", ("queued.json", "in-progress.json", "completed.json"),
            ("/v1beta/files/ID?alt=media",), file_has_key=True, cancel=("POST PATH/ID/cancel", "cancelled.json"), cancelled="cancelled.json",
        ), Api(
            "POST /v1beta/models/veo-3.1-fast-generate-001:predictLongRunning", shapes.VEO, "veo-created.json",
            "GET /v1beta/models/veo-3.1-fast-generate-001/operations/ID", ("veo-running.json", "veo-done.json"),
            ("/v1beta/files/ID:download?alt=media",), file_has_key=True,
        )],
    ),
    "vertex": Provider(
        {
            "TRIPTYCH_VIDEO_VERTEX_CREDENTIALS": service_account(), "TRIPTYCH_VIDEO_VERTEX_BASE_URL": "URL",
            "TRIPTYCH_VIDEO_VERTEX_STORAGE_BASE_URL": "URL", "TRIPTYCH_VIDEO_VERTEX_STORAGE_URI": "gs://bucket-1/videos",
            "TRIPTYCH_VIDEO_VERTEX_MODELS": "veo-3.1-generate-001,gemini-omni-1.1-flash",
        },
        ("authorization", f"Bearer {KEY}"), ("veo-3.1-generate-001", "gemini-omni-1.1-flash"),
        [Api(
            f"POST /v1/projects/project-1/{VERTEX_MODELS}/veo-3.1-generate-001:predictLongRunning", shapes.VERTEX_VEO, "veo-created.json",
            f"POST /v1/projects/ID/{VERTEX_MODELS}/veo-3.1-generate-001:fetchPredictOperation", ("veo-running.json", "veo-done.json"),
            (VERTEX_OBJECT,), file_has_key=True,
        ), Api(
            "POST /v1beta1/projects/project-1/locations/global/interactions", shapes.VERTEX_OMNI, "created.json", "GET PATH/ID",
            ("in-progress.json", "completed.json"), (VERTEX_OBJECT,), file_has_key=True, cancel=("POST PATH/ID/cancel", "cancelled.json"),
            cancelled="cancelled.json",
        )],
        token="/token",
    ),
    "openai": Provider(
        {"VIDEO_BASE_URL": "URL/v1", "VIDEO_API_KEY": KEY}, ("authorization", f"Bearer {KEY}"), ("sora-2",),
        [openai("/v1/videos", shapes.OPENAI), openai("/v1/videos/[^/]+/remix", {"prompt": shapes.TEXT})],
        lists={"GET /v1/videos": lambda tasks: {
            "object": "list", "data": tasks, "has_more": False, "first_id": tasks[0]["id"], "last_id": tasks[-1]["id"],
        }},
    ),
    "runway": Provider(
        {"RUNWAYML_API_SECRET": KEY, "TRIPTYCH_VIDEO_RUNWAY_BASE_URL": "URL/v1"}, ("authorization", f"Bearer {KEY}"),
        ("gen4.5",), [runway("text_to_video", shapes.RUNWAY_TEXT), runway("image_to_video", shapes.RUNWAY_IMAGE)],
        parameter_models=("veo3.1", "seedance2_5"),
    ),
    "fal": Provider(
        {"FAL_KEY": KEY, "TRIPTYCH_VIDEO_FAL_BASE_URL": "URL"}, ("authorization", f"Key {KEY}"), ("fal-ai/veo3.1",),
        [fal("", shapes.FAL), fal("/image-to-video", shapes.FAL | {"image_url": shapes.PICTURE}), fal("/reference-to-video", shapes.FAL | {"image_urls": [shapes.PICTURE]})],
    ),
    "midjourney": Provider(
        {"MJ_BASE_URL": "URL/mj", "MJ_API_SECRET": KEY}, ("mj-api-secret", KEY), ("midjourney-video",),
        [Api(
            "POST /mj/submit/video", shapes.MIDJOURNEY, "accepted.json", "GET /mj/task/ID/fetch",
            ("not-started.json", "in-progress.json", "success.json"), ("/cdn/ID.mp4", "/cdn/ID.png"),
            cancel=("POST /mj/task/ID/cancel", "cancellation.json"), cancelled="cancelled.json",
        )],
        # Some proxies take the value of this header for the secret, before they read their own.
        no_headers=("authorization",), needs_picture=True,
    ),
    "xai": Provider(
        {"XAI_API_KEY": KEY, "TRIPTYCH_VIDEO_XAI_BASE_URL": "URL/v1"}, ("authorization", f"Bearer {KEY}"), ("grok-imagine-video-1.5",),
        parameter_models=("grok-imagine-video",),
        apis=[Api(
            "POST /v1/videos/generations", shapes.XAI, "created.json", "GET /v1/videos/ID", ("pending.202.json", "progress.202.json", "done.json"),
            ("/xai-video/ID.mp4",),
        )],
    ),
    "vidu": Provider(
        {"VIDU_API_KEY": KEY, "TRIPTYCH_VIDEO_VIDU_BASE_URL": "URL"}, ("authorization", f"Token {KEY}"), ("viduq3-pro",),
        [
            vidu("text2video", shapes.VIDU_TEXT), vidu("img2video", shapes.VIDU_IMAGE), vidu("start-end2video", shapes.VIDU_IMAGE),
            vidu("reference2video", shapes.VIDU_TEXT | {"images": [shapes.PICTURE]}),
        ],
        parameter_models=("viduq2",),
    ),
}
