"""A chat completion and a video over gRPC, with code generated from the proto files. pip install grpcio-tools"""

import os
import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc

protos = pathlib.Path(__file__).resolve().parents[2] / "proto"
generated = tempfile.mkdtemp()
files = [str(path) for path in sorted(protos.glob("triptych/v1/*.proto"))]
include = pathlib.Path(protoc.__file__).parent / "_proto"
if protoc.main(["", f"-I{protos}", f"-I{include}", f"--python_out={generated}", f"--grpc_python_out={generated}", *files]):
    raise SystemExit("the proto files could not be compiled")
sys.path.insert(0, generated)

from triptych.v1 import chat_pb2, chat_pb2_grpc, video_pb2, video_pb2_grpc  # noqa: E402

channel = grpc.insecure_channel(os.environ.get("GRPC_ADDRESS", "127.0.0.1:50051"))
chat = chat_pb2_grpc.ChatServiceStub(channel)
chat_request = chat_pb2.ChatRequest(messages=[chat_pb2.ChatMessage(role="user", text="What is AI?")])

response = chat.CreateChat(chat_pb2.CreateChatRequest(chat=chat_request), timeout=60)
print(response.choices[0].message.text)

for chunk in chat.StreamChat(chat_pb2.StreamChatRequest(chat=chat_request), timeout=60):
    for choice in chunk.choices:
        print(choice.delta.content, end="", flush=True)
print()

videos = video_pb2_grpc.VideoServiceStub(channel)
request = video_pb2.CreateVideoRequest(prompt="Waves at night", size="640x360", duration_seconds=2)
created = videos.CreateVideo(request, timeout=60).video
# The stream ends when the job does.
for snapshot in videos.WatchVideo(video_pb2.WatchVideoRequest(id=created.id), timeout=600):
    video = snapshot.video
    print(video_pb2.Video.State.Name(video.state), f"{video.progress_percent} %")

with open("waves.mp4", "wb") as file:
    for part in videos.DownloadVideo(video_pb2.DownloadVideoRequest(id=created.id), timeout=60):
        file.write(part.data)
print("waves.mp4")
