"""Prepares the OpenAPI document for the requests that `openapi.py` generates. For valid requests: fixed values in place of the rules that
a schema cannot express, and small pictures and videos only, so that the test takes seconds. For invalid requests: without what
schemathesis generates slowly or not at all."""

import base64
import copy
import struct
import time
import zlib


def _png():
    """Returns a PNG of 8 x 8 pixels with an alpha channel, so that it also serves as its own mask."""
    rows = b"".join(b"\0" + bytes(value for x in range(8) for value in (32 * x, 32 * y, 90, 255 * (x > 2))) for y in range(8))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PICTURE = base64.b64encode(_png()).decode()
DATA_URL = f"data:image/png;base64,{PICTURE}"
PROMPTS = ["A boat", " 一艘船\n", "a" * 32_000]
MODELS = {"Chat": ["offline-chat", "gpt-4o"], "Image": ["offline-image", "dall-e-3"], "Video": ["offline-video", "sora-2"]}


def narrow(document, video_id, receiver):
    """Returns the document for valid requests. `video_id` is a finished video, `receiver` a URL that accepts webhooks."""
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    # Whether a text is a picture, a clip or one of their ids depends on its content and on the media store.
    schemas["ImageText"] = {"enum": [PICTURE, DATA_URL]}
    schemas["MediaText"] = {"enum": ["https://example.org/clip.mp4", "asset://clip"]}
    schemas["VideoText"] = {"enum": [video_id]}
    schemas["VideoFileText"] = {"enum": [f"{video_id}.mp4"]}
    _members(schemas["VideoSource"])["id"] = {"enum": [video_id]}
    _members(schemas["VideoSource"])["file_id"] = {"enum": [f"{video_id}.mp4"]}
    for name in ("ImageReference", "VideoFrame", "VideoReference"):
        _members(schemas[name])["file_id"] = {"enum": [f"{video_id}-thumbnail.jpg"]}
    for name in ("NewApiKey", "ApiKeyChange"):
        members = schemas[name]["properties"]
        members["team"] = {"enum": ["research", None]}
        members["expires_at"]["minimum"] = int(time.time()) + 86400
    for name in ("VideoEdit", "VideoExtension", "VideoEditForm", "VideoExtensionForm"):
        _narrow_members(schemas[name], "Video", receiver)
        if name.endswith("Form"):
            schemas[name]["properties"]["video"] = {"enum": [video_id]}
    _narrow_members(schemas["ChatCompletionRequest"], "Chat", receiver)
    _narrow_response(schemas, receiver)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _drop_page_tokens(operation)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                kind = "Image" if "image" in path else "Video"
                _narrow_members(content["schema"], kind, receiver)
                _narrow_files(content)
    document["components"]["parameters"]["Engine"]["schema"] = {"enum": MODELS["Chat"]}
    for name in ("Video", "MediaKey"):
        document["components"]["parameters"][name]["example"] = video_id + (".mp4" if name == "MediaKey" else "")
    return document


def _narrow_response(schemas, receiver):
    """Leaves out references to stored items, and functions whose parameters are no schema that the engine can satisfy."""
    request = schemas["ResponseRequest"]
    _narrow_members(request, "Chat", receiver)
    request["properties"]["previous_response_id"] = {"enum": [None]}
    # A response in the background goes on after the request.
    request["properties"]["background"] = {"enum": [False, None]}
    # Each name may occur once.
    request["properties"]["tools"]["maxItems"] = 1
    request["properties"]["text"]["properties"]["format"]["oneOf"][1]["properties"]["schema"] = {"enum": [{"type": "object"}]}
    items = schemas["ResponseInputItem"]["oneOf"]
    del items[-1]
    function, _, image = (tool["properties"] for tool in schemas["ResponseTool"]["oneOf"])
    function["parameters"] = {"enum": [{"type": "object", "properties": {"city": {"type": "string"}}}, None]}
    image["size"] = {"enum": ["64x64", None]}
    image["model"] = {"enum": ["offline-image", None]}


def _members(schema):
    """Returns the members of an object, or of the alternative that is one."""
    return schema.get("properties") or next(choice["properties"] for choice in schema["oneOf"] if "properties" in choice)


def for_invalid_requests(document):
    """Returns the document for invalid requests, without the pattern of prompts, since texts that fit it take seconds to make, and
    without the format of files, on which schemathesis stops with an error."""
    document = copy.deepcopy(document)
    for schema in _bodies(document):
        members = schema.get("properties", {})
        members.get("prompt", {}).pop("pattern", None)
        for member in members.values():
            for file in (member, member.get("items", {})):
                if file.get("format") == "binary":
                    del file["format"]
    return document


def _bodies(document):
    """Yields the schemas of request bodies."""
    for name in ("VideoEdit", "VideoExtension", "VideoEditForm", "VideoExtensionForm"):
        yield document["components"]["schemas"][name]
    for operations in document["paths"].values():
        for operation in operations.values():
            yield from (content["schema"] for content in operation.get("requestBody", {}).get("content", {}).values())


def _narrow_members(schema, kind, receiver):
    members = schema.get("properties", {})
    if "prompt" in members:
        members["prompt"] = {"enum": PROMPTS}
    is_form = isinstance(members.get("model", {}).get("type"), str)
    # An unknown model is 404, which says nothing about the other members.
    if "model" in members:
        members["model"] = {"enum": MODELS[kind] + ([] if is_form else [None])}
    for name in {"url", "callback_url"} & members.keys():
        members[name] = {"enum": [receiver]}
    if kind == "Image" and "n" in members:
        members["n"]["maximum"] = 2
        members["size"] = {"enum": ["64x64", "96x64"]}
        schema["required"] = [*schema["required"], "size"]
    if kind == "Video" and "seconds" in members:
        for name in {"seconds", "duration"} & members.keys():
            members[name] = {"type": "integer", "minimum": 1, "maximum": 2}
        if "size" in members:
            members["size"]["pattern"] = "^(64|96)x(64|128)$"


def _narrow_files(content):
    """Replaces files by texts, which forms may have instead, and removes lists that are JSON as text, and ids."""
    members = content["schema"].get("properties", {})
    for name, member in members.items():
        if member.get("format") == "binary":
            members[name] = {"enum": [PICTURE, DATA_URL]}
        elif member.get("items", {}).get("format") == "binary":
            member["items"] = {"enum": [PICTURE]}
    for name in {"frame_images", "input_references", "input_reference[file_id]"} & members.keys():
        if members[name].get("type") == "string":
            del members[name]
    if "encoding" in content:
        del content["encoding"], content["example"]


def _drop_page_tokens(operation):
    parameters = operation.get("parameters", [])
    operation["parameters"] = [parameter for parameter in parameters if parameter.get("name") != "after"]
