"""A call of every service. mypy checks this file in strict mode, as it would check a program that uses the package."""

import json
import unittest

from server import API_KEY, Server

from triptych_client import Client, connect, v1


def call_every_service(client: Client) -> dict[str, str]:
    """Returns something of each service's response by the name of the service."""
    message = v1.ChatMessage(role="user", text="Hello")
    chat: v1.CreateChatResponse = client.chat.CreateChat(
        v1.CreateChatRequest(chat=v1.ChatRequest(messages=[message])), timeout=60
    )
    images: v1.GenerateImagesResponse = client.image.GenerateImages(
        v1.GenerateImagesRequest(image=v1.ImageRequest(prompt="A lighthouse", size="256x256")), timeout=60
    )
    created: v1.CreateResponseResponse = client.response.CreateResponse(
        v1.CreateResponseRequest(request_json='{"input": "Hello"}'), timeout=60
    )
    response = json.loads(created.response_json)
    media: v1.Media = client.media.GetMedia(v1.GetMediaRequest(key=images.pictures[0].media_key), timeout=60).media
    models = client.model.ListModels(v1.ListModelsRequest(modality=v1.MODALITY_VIDEO), timeout=60).models
    create = v1.CreateVideoRequest(prompt="Pan left", size="64x64", duration_seconds=1, idempotency_key="sample")
    estimate: v1.VideoEstimate = client.usage.EstimateVideo(v1.EstimateVideoRequest(video=create), timeout=60).estimate
    video: v1.Video = client.wait_for_video(client.video.CreateVideo(create, timeout=60).video.id, timeout=60)
    event_types = client.webhook.ListWebhookEventTypes(v1.ListWebhookEventTypesRequest(), timeout=60).event_types
    state: v1.Video.State.ValueType = video.state
    return {
        "chat": chat.choices[0].message.text,
        "image": images.pictures[0].media_type,
        "media": media.media_type,
        "model": models[0].id,
        "response": str(response["status"]),
        "usage": estimate.size,
        "video": v1.Video.State.Name(state),
        "webhook": event_types[0],
    }


class SampleTest(unittest.TestCase):
    def test_every_service_answers(self) -> None:
        with Server() as server, connect(server.address, api_key=API_KEY) as client:
            found = call_every_service(client)
        self.assertTrue(found.pop("chat"))
        expected = {"image": "image/png", "media": "image/png", "model": "offline-video", "usage": "64x64"}
        self.assertEqual(found, expected | {"video": "STATE_SUCCEEDED", "webhook": "video.completed", "response": "completed"})


if __name__ == "__main__":
    unittest.main()
