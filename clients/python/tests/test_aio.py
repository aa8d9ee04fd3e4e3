"""The client for asyncio, against a running Triptych."""

import asyncio
import unittest

import grpc
from server import API_KEY, Server

from triptych_client import aio, error_details, v1

HELLO = v1.ChatRequest(messages=[v1.ChatMessage(role="user", text="Hello")], seed=1)


class AsyncClientTest(unittest.IsolatedAsyncioTestCase):
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    async def asyncSetUp(self) -> None:
        self.client = aio.connect(self.server.address, api_key=API_KEY)
        self.addAsyncCleanup(self.client.close)

    async def test_unary_and_streamed_chat_have_the_same_text(self) -> None:
        unary = await self.client.chat.CreateChat(v1.CreateChatRequest(chat=HELLO), timeout=60)
        chunks = [chunk async for chunk in self.client.chat.StreamChat(v1.StreamChatRequest(chat=HELLO), timeout=60)]
        text = "".join(choice.delta.content for chunk in chunks for choice in chunk.choices)
        self.assertGreater(len(chunks), 2)
        self.assertEqual(text, unary.choices[0].message.text)

    async def test_watch_is_resumed_after_a_restart(self) -> None:
        server = await asyncio.to_thread(Server)
        self.addCleanup(server.stop)
        async with aio.connect(server.address, api_key=API_KEY) as client:
            request = v1.CreateVideoRequest(prompt="Pan left", size="640x360", duration_seconds=4)
            video = (await client.video.CreateVideo(request, timeout=60)).video
            states = []
            async for snapshot in client.watch_video(video.id, timeout=120):
                # In the middle of the render, the process is replaced by another one.
                if snapshot.state == v1.Video.STATE_RENDERING and snapshot.state not in states:
                    await asyncio.to_thread(server.restart)
                states.append(snapshot.state)
        self.assertIn(v1.Video.STATE_RENDERING, states)
        self.assertEqual(states[-1], v1.Video.STATE_SUCCEEDED)

    async def test_waiting_for_a_video_returns_its_final_snapshot_after_every_change(self) -> None:
        request = v1.CreateVideoRequest(prompt="Pan left", model="offline-video-fault-fails", size="64x64", duration_seconds=1)
        video = (await self.client.video.CreateVideo(request, timeout=60)).video
        progress: list[int] = []
        final = await self.client.wait_for_video(video.id, on_change=lambda video: progress.append(video.progress_percent))
        self.assertEqual(final.state, v1.Video.STATE_FAILED)
        self.assertTrue(final.error.code)
        self.assertEqual(progress, sorted(progress))

    async def test_watch_ends_at_its_timeout(self) -> None:
        request = v1.CreateVideoRequest(prompt="Pan left", model="offline-video-fault-stuck", size="64x64", duration_seconds=1)
        video = (await self.client.video.CreateVideo(request, timeout=60)).video
        with self.assertRaises(grpc.RpcError) as raised:
            await self.client.wait_for_video(video.id, timeout=1.0)
        self.assertEqual(error_details(raised.exception).code, grpc.StatusCode.DEADLINE_EXCEEDED)

    async def test_deadline_ends_a_slow_call(self) -> None:
        chat = v1.ChatRequest(model="offline-chat-fault-slow", messages=HELLO.messages)
        with self.assertRaises(grpc.RpcError) as raised:
            await self.client.chat.CreateChat(v1.CreateChatRequest(chat=chat), timeout=0.5)
        self.assertEqual(error_details(raised.exception).code, grpc.StatusCode.DEADLINE_EXCEEDED)

    async def test_wrong_key_is_a_typed_error(self) -> None:
        async with aio.connect(self.server.address, api_key="a-wrong-one") as client:
            with self.assertRaises(grpc.RpcError) as unary:
                await client.model.ListModels(v1.ListModelsRequest(), timeout=60)
            with self.assertRaises(grpc.RpcError) as stream:
                [chunk async for chunk in client.chat.StreamChat(v1.StreamChatRequest(chat=HELLO), timeout=60)]
        for raised in (unary, stream):
            self.assertEqual(error_details(raised.exception).reason, v1.ERROR_REASON_INVALID_API_KEY)


if __name__ == "__main__":
    unittest.main()
