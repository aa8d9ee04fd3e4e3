"""A conversation and a clip over gRPC, from the proto files alone. pip install grpcio-tools"""

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
conversation = chat_pb2.ChatRequest(messages=[chat_pb2.ChatMessage(role="user", text="What is AI?")])

reply = chat.CreateChat(chat_pb2.CreateChatRequest(chat=conversation), timeout=60)
print(reply.choices[0].message.text)

for piece in chat.StreamChat(chat_pb2.StreamChatRequest(chat=conversation), timeout=60):
    for choice in piece.choices:
        print(choice.delta.content, end="", flush=True)
print()

videos = video_pb2_grpc.VideoServiceStub(channel)
asked = video_pb2.CreateVideoRequest(prompt="Waves at night", size="640x360", duration_seconds=2)
created = videos.CreateVideo(asked, timeout=60).video
# The stream ends with the job.
for snapshot in videos.WatchVideo(video_pb2.WatchVideoRequest(id=created.id), timeout=600):
    video = snapshot.video
    print(video_pb2.Video.State.Name(video.state), f"{video.progress_percent} %")

with open("waves.mp4", "wb") as file:
    for part in videos.DownloadVideo(video_pb2.DownloadVideoRequest(id=created.id), timeout=60):
        file.write(part.data)
print("waves.mp4")
