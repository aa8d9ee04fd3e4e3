"""A video with OpenAI's SDK, and a remix of it. pip install openai"""

import os

import openai

client = openai.OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key="not-needed",
)

video = client.videos.create_and_poll(prompt="Slow camera pan over a misty valley", size="1280x720", seconds="4")
if video.status != "completed":
    raise SystemExit(f"{video.status}: {video.error}")
client.videos.download_content(video.id).write_to_file("valley.mp4")
client.videos.download_content(video.id, variant="thumbnail").write_to_file("valley-thumbnail")
print(video.id, video.video_url)

remix = client.videos.remix(video.id, prompt="Zoom in on the valley")
print(client.videos.poll(remix.id).status)

for listed in client.videos.list(limit=10):
    print(listed.id, listed.status, listed.prompt)
