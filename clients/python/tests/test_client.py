"""The synchronous client, against a running Triptych."""

import importlib
import json
import pkgutil
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions
from server import API_KEY, Server

from triptych_client import Client, connect, error_details, v1
from triptych_client.v1.service_config import SERVICE_CONFIG

HELLO = v1.ChatRequest(messages=[v1.ChatMessage(role="user", text="Hello")], seed=1)
PNG = b"\x89PNG\r\n"


class ClientTest(unittest.TestCase):
    server: Server
    client: Client

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)
        cls.client = connect(cls.server.address, api_key=API_KEY)
        cls.addClassCleanup(cls.client.close)

    def test_unary_and_streamed_chat_have_the_same_text(self) -> None:
        unary = self.client.chat.CreateChat(v1.CreateChatRequest(chat=HELLO), timeout=60)
        chunks = list(self.client.chat.StreamChat(v1.StreamChatRequest(chat=HELLO), timeout=60))
        text = "".join(choice.delta.content for chunk in chunks for choice in chunk.choices)
        self.assertGreater(len(chunks), 2)
        self.assertEqual(text, unary.choices[0].message.text)

    def test_required_tool_is_called(self) -> None:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        function = v1.FunctionTool(name="weather", parameters_json=json.dumps(parameters))
        chat = v1.ChatRequest(
            messages=[v1.ChatMessage(role="user", text="What is the weather in Oslo?")],
            tools=[v1.Tool(type="function", function=function)],
            tool_choice=v1.ToolChoice(mode="required"),
        )
        choice = self.client.chat.CreateChat(v1.CreateChatRequest(chat=chat), timeout=60).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertEqual(choice.message.tool_calls[0].function.name, "weather")
        self.assertIsInstance(json.loads(choice.message.tool_calls[0].function.arguments)["city"], str)

    def test_image_larger_than_the_default_message_limit_is_received(self) -> None:
        image = v1.ImageRequest(prompt="A lighthouse", size="1792x1792", n=1, delivery=v1.IMAGE_DELIVERY_BYTES)
        picture = self.client.image.GenerateImages(v1.GenerateImagesRequest(image=image), timeout=60).pictures[0]
        self.assertTrue(picture.data.startswith(PNG))
        self.assertEqual((picture.width, picture.height), (1792, 1792))
        self.assertGreater(len(picture.data), 4 << 20)

    def test_watch_whose_streams_end_without_a_snapshot_ends_at_the_reconnect_timeout(self) -> None:
        def watch(_request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
            return iter(())

        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(watch)
        service = grpc.method_handlers_generic_handler("triptych.v1.VideoService", {"WatchVideo": handler})
        server = grpc.server(ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(None).wait())
        with connect(f"127.0.0.1:{port}") as client, self.assertRaises(TimeoutError):
            list(client.watch_video("video_1", reconnect_timeout=0.5))

    def test_watch_is_resumed_after_a_restart(self) -> None:
        with Server() as server, connect(server.address, api_key=API_KEY) as client:
            request = v1.CreateVideoRequest(prompt="Pan left", size="640x360", duration_seconds=4)
            video = client.video.CreateVideo(request, timeout=60).video
            snapshots: list[v1.Video] = []

            def on_change(snapshot: v1.Video) -> None:
                # In the middle of the render, the process is replaced by another one.
                rendering = v1.Video.STATE_RENDERING
                if snapshot.state == rendering and rendering not in [earlier.state for earlier in snapshots]:
                    server.restart()
                snapshots.append(snapshot)

            final = client.wait_for_video(video.id, on_change=on_change, timeout=120)
            self.assertEqual(v1.Video.State.Name(final.state), "STATE_SUCCEEDED")
            self.assertIn(v1.Video.STATE_RENDERING, [snapshot.state for snapshot in snapshots])
            revisions = [snapshot.revision for snapshot in snapshots]
            self.assertEqual(revisions, sorted(set(revisions)))
            parts = client.video.DownloadVideo(v1.DownloadVideoRequest(id=video.id), timeout=60)
            self.assertEqual(b"".join(part.data for part in parts)[4:8], b"ftyp")

    def test_watch_ends_at_its_timeout(self) -> None:
        request = v1.CreateVideoRequest(prompt="Pan left", model="offline-video-fault-stuck", size="64x64", duration_seconds=1)
        video = self.client.video.CreateVideo(request, timeout=60).video
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.wait_for_video(video.id, timeout=1.0)
        self.assertEqual(error_details(raised.exception).code, grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_watch_of_an_unknown_video_fails_at_once(self) -> None:
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.wait_for_video("video_none")
        self.assertEqual(error_details(raised.exception).reason, v1.ERROR_REASON_VIDEO_NOT_FOUND)

    def test_watch_of_an_unreachable_server_ends_at_the_reconnect_timeout(self) -> None:
        server = Server()
        server.stop()
        with connect(server.address) as client, self.assertRaises(grpc.RpcError) as raised:
            client.wait_for_video("video_none", reconnect_timeout=1.0)
        details = error_details(raised.exception)
        self.assertEqual((details.code, details.reason_name), (grpc.StatusCode.UNAVAILABLE, ""))

    def test_deadline_ends_a_slow_call(self) -> None:
        chat = v1.ChatRequest(model="offline-chat-fault-slow", messages=HELLO.messages)
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.chat.CreateChat(v1.CreateChatRequest(chat=chat), timeout=0.5)
        self.assertEqual(error_details(raised.exception).code, grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_wrong_and_missing_keys_are_typed_errors(self) -> None:
        for api_key in ("a-wrong-one", None):
            with connect(self.server.address, api_key=api_key) as client:
                for call in (
                    lambda: client.model.ListModels(v1.ListModelsRequest(), timeout=60),
                    lambda: list(client.chat.StreamChat(v1.StreamChatRequest(chat=HELLO), timeout=60)),
                ):
                    with self.assertRaises(grpc.RpcError) as raised:
                        call()
                    details = error_details(raised.exception)
                    self.assertEqual(details.code, grpc.StatusCode.UNAUTHENTICATED)
                    self.assertEqual(details.reason, v1.ERROR_REASON_INVALID_API_KEY)
                    self.assertTrue(details.request_id, details)

    def test_invalid_field_is_named(self) -> None:
        with self.assertRaises(grpc.RpcError) as raised:
            chat = v1.ChatRequest(messages=HELLO.messages, n=0)
            self.client.chat.CreateChat(v1.CreateChatRequest(chat=chat), timeout=60)
        details = error_details(raised.exception)
        self.assertEqual((details.reason, details.reason_name), (v1.ERROR_REASON_INVALID_FIELD, "INVALID_FIELD"))
        self.assertEqual([violation.field for violation in details.field_violations], ["n"])
        self.assertIsNone(details.retry_delay)

    def test_failures_of_upstreams_have_their_delay_and_whether_they_may_have_executed(self) -> None:
        found = {}
        for status in ("429", "500"):
            chat = v1.ChatRequest(model=f"offline-chat-fault-{status}", messages=HELLO.messages)
            with self.assertRaises(grpc.RpcError) as raised:
                self.client.chat.CreateChat(v1.CreateChatRequest(chat=chat), timeout=60)
            found[status] = error_details(raised.exception)
        self.assertEqual(found["429"].reason, v1.ERROR_REASON_RATE_LIMIT_EXCEEDED)
        self.assertEqual((found["429"].retry_delay, found["429"].may_have_executed), (2.0, False))
        self.assertTrue(found["500"].may_have_executed)

    def test_service_configuration_retries_exactly_the_methods_without_side_effects(self) -> None:
        names = json.loads(SERVICE_CONFIG)["methodConfig"][0]["name"]
        retried = {(name["service"], name.get("method")) for name in names}
        modules = [module.name for module in pkgutil.iter_modules(v1.__path__) if module.name.endswith("_pb2")]
        files = [importlib.import_module(f"triptych_client.v1.{name}").DESCRIPTOR for name in modules]
        services = [service for file in files for service in file.services_by_name.values()]
        self.assertGreaterEqual(len(services), 7)
        for service in services:
            for method in service.methods:
                is_retried = not retried.isdisjoint({(service.full_name, None), (service.full_name, method.name)})
                without_side_effects = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
                self.assertEqual(is_retried, without_side_effects, method.full_name)


if __name__ == "__main__":
    unittest.main()
