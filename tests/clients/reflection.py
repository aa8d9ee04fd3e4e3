"""A client that knows nothing but the address: it learns the services from the server and calls all of them."""

import io
import socket
import threading

import grpc
from checks import GRPC, clip, main, picture
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(GRPC, options=[("grpc.max_receive_message_length", 64 << 20)])
database = ProtoReflectionDescriptorDatabase(channel)
pool = descriptor_pool.DescriptorPool(database)


def call(method, members=None, timeout=120, metadata=None, serialized=None, via=None):
    """Calls `triptych.v1.<service>/<method>` with a request built from the server's own description of it."""
    service, name = method.split("/")
    described = pool.FindServiceByName(service).FindMethodByName(name)
    request = message_factory.GetMessageClass(described.input_type)
    answer = message_factory.GetMessageClass(described.output_type)
    via = via or channel
    kind = via.unary_stream if described.server_streaming else via.unary_unary
    stub = kind(f"/{service}/{name}", request_serializer=lambda bytes_: bytes_, response_deserializer=answer.FromString)
    body = serialized if serialized is not None else request(**(members or {})).SerializeToString()
    return stub(body, timeout=timeout, metadata=metadata)


def counting():
    """A port that leads to the server, and how many bytes the server has sent through it."""
    listener, sent = socket.create_server(("127.0.0.1", 0)), [0]

    def pump(source, sink, count):
        while data := source.recv(65536):
            sent[0] += count * len(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def lead():
        while True:
            near = listener.accept()[0]
            host, port = GRPC.rsplit(":", 1)
            far = socket.create_connection((host, int(port)))
            for ends in ((near, far, 0), (far, near, 1)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=lead, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}", sent


def ours(name, members=None, **more):
    return call(f"triptych.v1.{name}", members, **more)


def details_of(error):
    """The rich status of a failed call, by type name."""
    raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
    found = {}
    for detail in status_pb2.Status.FromString(raw).details:
        kind = getattr(error_details_pb2, detail.type_url.rsplit(".", 1)[-1])
        found[kind.__name__] = kind.FromString(detail.value)
    return found


def refused(code, work, reason=None, field=None):
    try:
        answer = work()
        list(answer) if hasattr(answer, "__iter__") else answer
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        details = details_of(error)
        info = details["ErrorInfo"]
        assert info.domain == "triptych" and (reason is None or info.reason == reason), info
        if field is not None:
            fields = [violation.field for violation in details["BadRequest"].field_violations]
            assert fields == [field], fields
        return details
    raise AssertionError(f"not refused with {code}")


CHAT = {"messages": [{"role": "user", "text": "Hello"}]}


def the_services_are_listed_by_both_generations_of_reflection():
    services = set(database.get_services())
    for name in ("ChatService", "ImageService", "VideoService", "ModelService", "MediaService"):
        assert f"triptych.v1.{name}" in services, services
    assert "grpc.health.v1.Health" in services, services
    newer = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = newer(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    # Each generation names itself besides what both describe.
    newer_services = {service.name for service in answer.list_services_response.service}
    assert {name for name in newer_services ^ services} <= {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}


def every_service_says_it_is_healthy():
    for service in ["", *(name for name in database.get_services() if name.startswith("triptych."))]:
        assert call("grpc.health.v1.Health/Check", {"service": service}).status == 1, service


def models_of_all_panels_are_listed():
    models = ours("ModelService/ListModels").models
    assert {model.modality for model in models} == {1, 2, 3}
    for model in models:
        assert ours("ModelService/GetModel", {"id": model.id}).model == model
    assert {model.modality for model in ours("ModelService/ListModels", {"modality": 2}).models} == {2}


def a_chat_is_answered_whole_and_in_pieces():
    whole = ours("ChatService/CreateChat", {"chat": {**CHAT, "seed": 1}})
    assert whole.choices[0].message.text and whole.usage.total_tokens > 0
    pieces = list(ours("ChatService/StreamChat", {"chat": {**CHAT, "seed": 1}, "stream_options": {"include_usage": True}}))
    text = "".join(choice.delta.content for piece in pieces for choice in piece.choices)
    assert text == whole.choices[0].message.text
    assert pieces[-1].usage == whole.usage and not pieces[-1].choices


def an_answer_carries_the_request_id():
    stub = ours("ModelService/ListModels", metadata=[("x-request-id", "mine-2")])
    assert stub.models
    described = pool.FindServiceByName("triptych.v1.ModelService").FindMethodByName("ListModels")
    answer = message_factory.GetMessageClass(described.output_type)
    _, made = channel.unary_unary("/triptych.v1.ModelService/ListModels", response_deserializer=answer.FromString).with_call(b"", metadata=[("x-request-id", "mine-2")])
    assert dict(made.initial_metadata())["x-request-id"] == "mine-2", made.initial_metadata()


def pictures_come_as_bytes_as_links_and_as_previews():
    made = ours("ImageService/GenerateImages", {"image": {"prompt": "A lighthouse", "size": "256x192", "delivery": 2}})
    picture(made.pictures[0].data, (256, 192))
    linked = ours("ImageService/GenerateImages", {"image": {"prompt": "A lighthouse", "size": "256x192", "delivery": 1}})
    key = linked.pictures[0].media_key
    media = ours("MediaService/GetMedia", {"key": key}).media
    parts = list(ours("MediaService/ReadMedia", {"key": key}))
    data = b"".join(part.data for part in parts[1:])
    assert parts[0].media == media and len(data) == media.size_bytes
    picture(data, (256, 192))
    tail = b"".join(part.data for part in ours("MediaService/ReadMedia", {"key": key, "offset": 100, "length": 50}))
    assert tail == data[100:150]
    events = list(ours("ImageService/StreamImages", {"image": {"prompt": "A harbour", "size": "256x256", "delivery": 2}, "partial_images": 2}))
    assert [event.WhichOneof("event") for event in events] == ["preview", "preview", "finished"]
    start = {"data": made.pictures[0].data}
    edit = ours("ImageService/GenerateImages", {"image": {"prompt": "At night", "pictures": [start], "size": "256x192", "delivery": 2}})
    picture(edit.pictures[0].data, (256, 192))


def a_clip_is_watched_to_its_end_downloaded_remixed_and_deleted():
    asked = {"prompt": "Pan left", "size": "320x180", "duration_seconds": 1, "idempotency_key": "reflection-1"}
    video = ours("VideoService/CreateVideo", asked).video
    assert ours("VideoService/CreateVideo", asked).video.id == video.id, "one key, two jobs"
    refused(grpc.StatusCode.ALREADY_EXISTS, lambda: ours("VideoService/CreateVideo", {**asked, "prompt": "Pan right"}), "IDEMPOTENCY_CONFLICT")
    snapshots = [answer.video for answer in ours("VideoService/WatchVideo", {"id": video.id})]
    succeeded = type(video).DESCRIPTOR.enum_types_by_name["State"].values_by_name["STATE_SUCCEEDED"].number
    progress = [snapshot.progress_percent for snapshot in snapshots]
    assert snapshots[-1].state == succeeded and progress == sorted(progress) and progress[-1] == 100, snapshots
    assert len({snapshot.revision for snapshot in snapshots}) == len(snapshots)

    parts = list(ours("VideoService/DownloadVideo", {"id": video.id}))
    data = b"".join(part.data for part in parts[1:])
    assert len(data) == parts[0].media.size_bytes and max(len(part.data) for part in parts) <= 256 << 10
    clip(data, (320, 180), 1)
    tail = b"".join(part.data for part in ours("VideoService/DownloadVideo", {"id": video.id, "offset": 1000}))
    assert tail == data[1000:]
    assert io.BytesIO(b"".join(part.data for part in ours("VideoService/DownloadVideo", {"id": video.id, "variant": "VIDEO_VARIANT_THUMBNAIL"}))).getbuffer().nbytes > 100
    refused(grpc.StatusCode.OUT_OF_RANGE, lambda: ours("VideoService/DownloadVideo", {"id": video.id, "offset": len(data)}), "RANGE_NOT_SATISFIABLE")

    remix = ours("VideoService/RemixVideo", {"id": video.id, "prompt": "Zoom in"}).video
    assert remix.remixed_from_video_id == video.id
    assert ours("VideoService/CancelVideo", {"id": remix.id}).video.id == remix.id
    final = [answer.video for answer in ours("VideoService/WatchVideo", {"id": remix.id})][-1]
    assert ours("VideoService/GetVideo", {"id": remix.id}).video == final
    listed = [item.id for item in ours("VideoService/ListVideos", {"page_size": 2}).videos]
    assert listed == [remix.id, video.id], listed
    ours("VideoService/DeleteVideo", {"id": video.id})
    refused(grpc.StatusCode.NOT_FOUND, lambda: ours("VideoService/GetVideo", {"id": video.id}), "VIDEO_NOT_FOUND")


def wrong_fields_are_named():
    wrong = grpc.StatusCode.INVALID_ARGUMENT
    refused(wrong, lambda: ours("ChatService/CreateChat"), "INVALID_FIELD", "chat")
    refused(wrong, lambda: ours("ChatService/StreamChat", {"chat": {}}), "INVALID_FIELD", "messages")
    refused(wrong, lambda: ours("ImageService/GenerateImages", {"image": {"prompt": ""}}), "INVALID_FIELD", "prompt")
    refused(wrong, lambda: ours("ImageService/GenerateImages", {"image": {"prompt": "x", "size": "axb"}}), "INVALID_FIELD", "size")
    refused(wrong, lambda: ours("ImageService/GenerateImages", {"image": {"prompt": "x", "n": 4_000_000_000}}), "INVALID_FIELD", "n")
    refused(wrong, lambda: ours("VideoService/CreateVideo", {"prompt": "x", "duration_seconds": 0}), "INVALID_FIELD", "duration_seconds")
    refused(wrong, lambda: ours("VideoService/CreateVideo", {"prompt": "x", "input_reference": {"data": b"no"}}), "INVALID_FIELD", "input_reference")
    refused(wrong, lambda: ours("VideoService/ListVideos", {"page_size": 101}), "INVALID_FIELD", "page_size")
    details = refused(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: ours("ChatService/CreateChat", {"chat": {**CHAT, "model": "offline-chat-fault-429"}}), "RATE_LIMIT_EXCEEDED")
    assert details["RetryInfo"].retry_delay.seconds == 2


def whoever_compresses_is_answered_in_kind_but_for_streams():
    # The built-in engine says the same to the same words, at length to many of them.
    asked = {"chat": {**CHAT, "messages": [{"role": "user", "text": "Tell me a story of the sea. " * 40}], "n": 64, "seed": 1}}
    answers, bytes_sent = [], []
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        address, sent = counting()
        with grpc.insecure_channel(address, compression=compression) as via:
            whole = ours("ChatService/CreateChat", asked, via=via)
            streamed = list(ours("ChatService/StreamChat", {"chat": {**CHAT, "seed": 1, "max_tokens": 5}}, via=via))
        answers.append(([choice.message.text for choice in whole.choices], [piece.choices[0].delta.content for piece in streamed]))
        bytes_sent.append(sent[0])
    assert answers[0] == answers[1] and len(answers[0][1]) > 2, answers
    assert bytes_sent[1] < bytes_sent[0] / 2, bytes_sent


def unknown_numbers_of_enums_are_refused():
    wrong = grpc.StatusCode.INVALID_ARGUMENT
    refused(wrong, lambda: ours("ModelService/ListModels", {"modality": 99}), "INVALID_FIELD", "modality")
    refused(wrong, lambda: ours("ImageService/GenerateImages", {"image": {"prompt": "x", "delivery": 99}}), "INVALID_FIELD", "delivery")
    refused(wrong, lambda: ours("VideoService/ListVideos", {"order": -1}), "INVALID_FIELD", "order")


def bytes_that_are_no_message_leave_the_server_up():
    for method in ("ChatService/CreateChat", "VideoService/CreateVideo", "MediaService/ReadMedia"):
        try:
            answer = ours(method, serialized=b"\xff\xff\xff\xff")
            list(answer) if hasattr(answer, "__iter__") else answer
            raise AssertionError("it was understood")
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT), error.code()
    every_service_says_it_is_healthy()


main([test for name, test in list(globals().items()) if callable(test) and getattr(test, "__module__", "") == "__main__" and name not in ("call", "counting", "ours", "details_of", "refused")])
