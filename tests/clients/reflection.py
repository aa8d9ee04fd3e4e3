"""Calls every service through gRPC reflection alone, without the proto files."""

import io
import socket
import threading

import grpc
from by_reflection import Services
from common import GRPC, check_image, check_video, run_tests
from google.protobuf import message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection_pb2

services = Services(GRPC)
channel, database, pool, call = services.channel, services.database, services.pool, services.call


def counting_proxy():
    """Starts a TCP proxy to the server. Returns its address, and a list with the number of bytes that the server has sent."""
    listener, sent = socket.create_server(("127.0.0.1", 0)), [0]

    def pump(source, sink, count):
        while data := source.recv(65536):
            sent[0] += count * len(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def accept():
        while True:
            client_side = listener.accept()[0]
            host, port = GRPC.rsplit(":", 1)
            server_side = socket.create_connection((host, int(port)))
            for ends in ((client_side, server_side, 0), (server_side, client_side, 1)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}", sent


def call_triptych(name, members=None, **more):
    return call(f"triptych.v1.{name}", members, **more)


def details_of(error):
    """Returns the details of a failed call by type name."""
    raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
    found = {}
    for detail in status_pb2.Status.FromString(raw).details:
        kind = getattr(error_details_pb2, detail.type_url.rsplit(".", 1)[-1])
        found[kind.__name__] = kind.FromString(detail.value)
    return found


def assert_fails(code, work, reason=None, field=None):
    """Asserts that a call fails with this code, reason and invalid field. Returns the details by type name."""
    try:
        response = work()
        list(response) if hasattr(response, "__iter__") else response
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        details = details_of(error)
        info = details["ErrorInfo"]
        assert info.domain == "triptych" and (reason is None or info.reason == reason), info
        if field is not None:
            fields = [violation.field for violation in details["BadRequest"].field_violations]
            assert fields == [field], fields
        return details
    raise AssertionError(f"the call did not fail with {code}")


# A ChatRequest.
CHAT = {"messages": [{"role": "user", "text": "Hello"}]}


def test_services_are_listed_by_reflection_v1_and_v1alpha():
    services = set(database.get_services())
    names = ("ChatService", "ResponseService", "ImageService", "VideoService", "ModelService", "MediaService", "WebhookService", "UsageService", "AdminService")
    for name in names:
        assert f"triptych.v1.{name}" in services, services
    assert "grpc.health.v1.Health" in services, services
    # The messages of v1 are those of v1alpha.
    newer = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    (response,) = newer(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    # Each version lists itself only.
    newer_services = {service.name for service in response.list_services_response.service}
    assert {name for name in newer_services ^ services} <= {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}


def test_every_service_is_healthy():
    for service in ["", *(name for name in database.get_services() if name.startswith("triptych."))]:
        assert call("grpc.health.v1.Health/Check", {"service": service}).status == 1, service


def test_models_of_all_modalities_are_listed():
    models = call_triptych("ModelService/ListModels").models
    # Chat, image and video.
    assert {model.modality for model in models} == {1, 2, 3}
    for model in models:
        assert call_triptych("ModelService/GetModel", {"id": model.id}).model == model
    assert {model.modality for model in call_triptych("ModelService/ListModels", {"modality": 2}).models} == {2}


def test_unary_and_streamed_chat_have_the_same_text():
    unary = call_triptych("ChatService/CreateChat", {"chat": {**CHAT, "seed": 1}})
    assert unary.choices[0].message.text and unary.usage.total_tokens > 0
    chunks = list(call_triptych("ChatService/StreamChat", {"chat": {**CHAT, "seed": 1}, "stream_options": {"include_usage": True}}))
    text = "".join(choice.delta.content for chunk in chunks for choice in chunk.choices)
    assert text == unary.choices[0].message.text
    assert chunks[-1].usage == unary.usage and not chunks[-1].choices


def test_response_has_the_request_id():
    stub = call_triptych("ModelService/ListModels", metadata=[("x-request-id", "mine-2")])
    assert stub.models
    descriptor = pool.FindServiceByName("triptych.v1.ModelService").FindMethodByName("ListModels")
    response = message_factory.GetMessageClass(descriptor.output_type)
    _, generated = channel.unary_unary("/triptych.v1.ModelService/ListModels", response_deserializer=response.FromString).with_call(b"", metadata=[("x-request-id", "mine-2")])
    assert dict(generated.initial_metadata())["x-request-id"] == "mine-2", generated.initial_metadata()


def test_images_are_returned_as_bytes_media_keys_and_previews():
    # The delivery 1 is by media key, 2 as bytes.
    generated = call_triptych("ImageService/GenerateImages", {"image": {"prompt": "A lighthouse", "size": "256x192", "delivery": 2}})
    check_image(generated.pictures[0].data, (256, 192))
    linked = call_triptych("ImageService/GenerateImages", {"image": {"prompt": "A lighthouse", "size": "256x192", "delivery": 1}})
    key = linked.pictures[0].media_key
    media = call_triptych("MediaService/GetMedia", {"key": key}).media
    parts = list(call_triptych("MediaService/ReadMedia", {"key": key}))
    data = b"".join(part.data for part in parts[1:])
    assert parts[0].media == media and len(data) == media.size_bytes
    check_image(data, (256, 192))
    tail = b"".join(part.data for part in call_triptych("MediaService/ReadMedia", {"key": key, "offset": 100, "length": 50}))
    assert tail == data[100:150]
    events = list(call_triptych("ImageService/StreamImages", {"image": {"prompt": "A harbour", "size": "256x256", "delivery": 2}, "partial_images": 2}))
    assert [event.WhichOneof("event") for event in events] == ["preview", "preview", "finished"]
    start = {"data": generated.pictures[0].data}
    edit = call_triptych("ImageService/GenerateImages", {"image": {"prompt": "At night", "pictures": [start], "size": "256x192", "delivery": 2}})
    check_image(edit.pictures[0].data, (256, 192))


def test_video_is_watched_downloaded_remixed_and_deleted():
    request_members = {"prompt": "Pan left", "size": "320x180", "duration_seconds": 1, "idempotency_key": "reflection-1"}
    video = call_triptych("VideoService/CreateVideo", request_members).video
    assert call_triptych("VideoService/CreateVideo", request_members).video.id == video.id, "one idempotency key created two jobs"
    assert_fails(grpc.StatusCode.ALREADY_EXISTS, lambda: call_triptych("VideoService/CreateVideo", {**request_members, "prompt": "Pan right"}), "IDEMPOTENCY_CONFLICT")
    snapshots = [response.video for response in call_triptych("VideoService/WatchVideo", {"id": video.id})]
    succeeded = type(video).DESCRIPTOR.enum_types_by_name["State"].values_by_name["STATE_SUCCEEDED"].number
    progress = [snapshot.progress_percent for snapshot in snapshots]
    assert snapshots[-1].state == succeeded and progress == sorted(progress) and progress[-1] == 100, snapshots
    assert len({snapshot.revision for snapshot in snapshots}) == len(snapshots)

    parts = list(call_triptych("VideoService/DownloadVideo", {"id": video.id}))
    data = b"".join(part.data for part in parts[1:])
    assert len(data) == parts[0].media.size_bytes and max(len(part.data) for part in parts) <= 256 << 10
    check_video(data, (320, 180), 1)
    tail = b"".join(part.data for part in call_triptych("VideoService/DownloadVideo", {"id": video.id, "offset": 1000}))
    assert tail == data[1000:]
    assert io.BytesIO(b"".join(part.data for part in call_triptych("VideoService/DownloadVideo", {"id": video.id, "variant": "VIDEO_VARIANT_THUMBNAIL"}))).getbuffer().nbytes > 100
    assert_fails(grpc.StatusCode.OUT_OF_RANGE, lambda: call_triptych("VideoService/DownloadVideo", {"id": video.id, "offset": len(data)}), "RANGE_NOT_SATISFIABLE")

    edit = call_triptych("VideoService/EditVideo", {"prompt": "Zoom in", "video": {"id": video.id}}).video
    extension = call_triptych("VideoService/ExtendVideo", {"prompt": "Zoom in", "video": {"id": video.id}, "duration_seconds": 1}).video
    for derived in (edit, extension):
        call_triptych("VideoService/DeleteVideo", {"id": derived.id})
    remix = call_triptych("VideoService/RemixVideo", {"id": video.id, "prompt": "Zoom in"}).video
    assert remix.remixed_from_video_id == video.id
    assert call_triptych("VideoService/CancelVideo", {"id": remix.id}).video.id == remix.id
    final = [response.video for response in call_triptych("VideoService/WatchVideo", {"id": remix.id})][-1]
    read = call_triptych("VideoService/GetVideo", {"id": remix.id}).video
    # Snapshots of a stream do not have the request, and the cost is known once the provider has stopped the render.
    assert read.request.create.prompt == remix.prompt, read
    for snapshot in (read, final):
        snapshot.ClearField("request")
        snapshot.ClearField("cost_micros")
    assert read == final, f"{read} {final}"
    listed = [item.id for item in call_triptych("VideoService/ListVideos", {"page_size": 2}).videos]
    assert listed == [remix.id, video.id], listed
    call_triptych("VideoService/DeleteVideo", {"id": video.id})
    assert_fails(grpc.StatusCode.NOT_FOUND, lambda: call_triptych("VideoService/GetVideo", {"id": video.id}), "VIDEO_NOT_FOUND")


def test_error_details_name_the_invalid_field():
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert_fails(invalid, lambda: call_triptych("ChatService/CreateChat"), "INVALID_FIELD", "chat")
    assert_fails(invalid, lambda: call_triptych("ChatService/StreamChat", {"chat": {}}), "INVALID_FIELD", "messages")
    assert_fails(invalid, lambda: call_triptych("ImageService/GenerateImages", {"image": {"prompt": ""}}), "INVALID_FIELD", "prompt")
    assert_fails(invalid, lambda: call_triptych("ImageService/GenerateImages", {"image": {"prompt": "x", "size": "axb"}}), "INVALID_FIELD", "size")
    assert_fails(invalid, lambda: call_triptych("ImageService/GenerateImages", {"image": {"prompt": "x", "n": 4_000_000_000}}), "INVALID_FIELD", "n")
    assert_fails(invalid, lambda: call_triptych("VideoService/CreateVideo", {"prompt": "x", "duration_seconds": 0}), "INVALID_FIELD", "duration_seconds")
    assert_fails(invalid, lambda: call_triptych("VideoService/CreateVideo", {"prompt": "x", "input_reference": {"data": b"no"}}), "INVALID_FIELD", "input_reference")
    assert_fails(invalid, lambda: call_triptych("VideoService/ListVideos", {"page_size": 101}), "INVALID_FIELD", "page_size")
    details = assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: call_triptych("ChatService/CreateChat", {"chat": {**CHAT, "model": "offline-chat-fault-429"}}), "RATE_LIMIT_EXCEEDED")
    assert details["RetryInfo"].retry_delay.seconds == 2


def test_compressed_request_gets_a_compressed_unary_response():
    # The built-in engine returns the same text for the same request, and a long text for a long one.
    request_members = {"chat": {**CHAT, "messages": [{"role": "user", "text": "Tell me a story of the sea. " * 40}], "n": 64, "seed": 1}}
    responses, bytes_sent = [], []
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        address, sent = counting_proxy()
        with grpc.insecure_channel(address, compression=compression) as via:
            unary = call_triptych("ChatService/CreateChat", request_members, via=via)
            streamed = list(call_triptych("ChatService/StreamChat", {"chat": {**CHAT, "seed": 1, "max_tokens": 5}}, via=via))
        responses.append(([choice.message.text for choice in unary.choices], [chunk.choices[0].delta.content for chunk in streamed]))
        bytes_sent.append(sent[0])
    assert responses[0] == responses[1] and len(responses[0][1]) > 2, responses
    assert bytes_sent[1] < bytes_sent[0] / 2, bytes_sent


def test_unknown_enum_number_is_an_invalid_field():
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert_fails(invalid, lambda: call_triptych("ModelService/ListModels", {"modality": 99}), "INVALID_FIELD", "modality")
    assert_fails(invalid, lambda: call_triptych("ImageService/GenerateImages", {"image": {"prompt": "x", "delivery": 99}}), "INVALID_FIELD", "delivery")
    assert_fails(invalid, lambda: call_triptych("VideoService/ListVideos", {"order": -1}), "INVALID_FIELD", "order")


def test_malformed_message_is_rejected_and_the_server_stays_up():
    for method in ("ChatService/CreateChat", "VideoService/CreateVideo", "MediaService/ReadMedia"):
        try:
            response = call_triptych(method, serialized=b"\xff\xff\xff\xff")
            list(response) if hasattr(response, "__iter__") else response
            raise AssertionError("a malformed message was accepted")
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT), error.code()
    test_every_service_is_healthy()


run_tests(globals())
