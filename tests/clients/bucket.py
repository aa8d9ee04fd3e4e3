"""Stores media in a bucket of an S3 server, interrupts both, and checks that every file stays whole.

    bucket.py PATH_OF_TRIPTYCH

Pictures and videos are stored below a path of the bucket, and nothing of them in the data directory; they are read whole and in
ranges, and removed with their video. A file of several parts is one upload of several parts. While the server is away, chats are
answered, pictures are refused with a clear error, and a finished render waits for it; while Triptych is killed, no file is damaged.
A bucket that does not exist stops the start. Downloads can be redirected to the bucket, which OpenAI's client follows.
"""

import http.client
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
from fake_video_upstream import Upstream
from kill_jobs import mp4_defect
from kill_upstream_jobs import small_clip
from moto.server import ThreadedMotoServer
from openai import OpenAI
from server import Server, free_port, list_all

# The longest wait for a video, in seconds.
TIMEOUT = 120
BUCKET = "media"
# Two parts of an upload: object_store sends parts of 5 MiB.
PADDING = 8 << 20
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Bucket:
    """An S3 server that can be stopped and started again with its objects."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, free_port()
        self.start()
        client = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=self.url(), **client)
        self.client.create_bucket(Bucket=BUCKET)

    def start(self) -> None:
        self.server = ThreadedMotoServer(ip_address=self.host, port=self.port, verbose=False)
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def objects(self) -> dict[str, int]:
        """Returns the sizes of the objects by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}


def check(name: str, condition: bool, detail: object = "") -> None:
    print(f"   {name}: {'ok' if condition else f'FAILED {detail}'}", flush=True)
    if not condition:
        sys.exit(1)


def get(server: Server, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    result = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return result


def post(server: Server, path: str, body: dict) -> tuple[int, dict]:
    """Sends a request once; `Server.call` would repeat one that is refused with 503."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    result = response.status, json.loads(response.read())
    connection.close()
    return result


def create_picture(server: Server, number: int) -> tuple[int, dict]:
    return post(server, "/v1/images/generations", {"prompt": f"boat {number}", "size": "64x64", "response_format": "url"})


def media_path(url: str) -> str:
    return url[url.index("/media/") :]


def create_video(server: Server, number: int) -> str:
    body = {"model": "scripted", "prompt": f"clip {number}", "size": "64x64", "seconds": "1"}
    status, data = server.call("POST", "/v1/videos", body, f"bucket-{number}")
    assert status == 200, (status, data)
    return json.loads(data)["id"]


def wait_for(condition, what: str) -> None:
    give_up = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > give_up:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.1)


def wait_until_ready(server: Server) -> None:
    def is_ready() -> bool:
        try:
            return get(server, "/readyz")[0] == 200
        except OSError:
            return False

    wait_for(is_ready, "the server to start")


def status_of(server: Server, id: str) -> str:
    return json.loads(server.call("GET", f"/v1/videos/{id}")[1])["status"]


def check_files(server: Server, bucket: Bucket, clip: bytes, data: Path) -> None:
    status, body = create_picture(server, 0)
    check("a picture is created", status == 200, body)
    path = media_path(body["data"][0]["url"])
    status, headers, whole = get(server, path)
    check("and served", status == 200 and len(whole) == int(headers["content-length"]), headers)
    key = f"triptych/{path.removeprefix('/media/').split('?')[0]}"
    check("from below the path of the bucket", bucket.objects().get(key) == len(whole), bucket.objects())
    check("and not from the data directory", not (data / "media").exists())
    status, headers, part = get(server, path, {"range": "bytes=10-19"})
    check("a range of it is served", status == 206 and part == whole[10:20], (status, headers))
    check("an unchanged one is not sent", get(server, path, {"if-none-match": headers["etag"]})[0] == 304)

    id = create_video(server, 0)
    wait_for(lambda: status_of(server, id) == "completed", "the video")
    content = get(server, f"/v1/videos/{id}/content")[2]
    check("a video of several parts is whole", content == clip, (len(content), len(clip)))
    content = get(server, f"/v1/videos/{id}/content", {"range": f"bytes={len(clip) - 5}-"})[2]
    check("its last bytes are served", content == clip[-5:])
    check("its thumbnail is served", get(server, f"/v1/videos/{id}/content?variant=thumbnail")[0] == 200)
    stored = [key for key in bucket.objects() if id in key]
    check("it has objects", len(stored) >= 2, stored)
    check("it is deleted", server.call("DELETE", f"/v1/videos/{id}")[0] == 200)
    wait_for(lambda: not any(id in key for key in bucket.objects()), "the removal of the objects")
    check("and its objects with it", True)


def check_outage(server: Server, bucket: Bucket, upstream: Upstream, clip: bytes) -> None:
    bucket.stop()
    id = create_video(server, 1)
    status, body = create_picture(server, 1)
    check("a picture without the bucket is refused", status == 503 and body["error"]["code"] == "storage_unavailable", (status, body))
    status, body = post(server, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]})
    check("a chat is answered", status == 200, body)
    check("the server is ready", get(server, "/readyz")[0] == 200)
    wait_for(lambda: len(upstream.renders) == 2 and time.time() > max(r["ready"] for r in upstream.renders.values()) + 1, "the render")
    check("a finished render waits", status_of(server, id) == "in_progress")
    bucket.start()
    wait_for(lambda: status_of(server, id) == "completed", "the video")
    check("until the bucket is back", get(server, f"/v1/videos/{id}/content")[2] == clip)
    check("and was paid once", upstream.prompts()["clip 1"] == 1, upstream.prompts())


def check_kills(server: Server, bucket: Bucket, upstream: Upstream, clip: bytes) -> None:
    ids = [create_video(server, number) for number in range(10, 22)]
    for _ in range(8):
        time.sleep(random.uniform(0.3, 1.2))
        server.kill_and_start()
    wait_until_ready(server)
    wait_for(lambda: all(job["status"] not in ("queued", "in_progress") for job in list_all(server)), "the videos")
    states = [status_of(server, id) for id in ids]
    check("12 videos survive 8 kills", states == ["completed"] * 12, states)
    check("with whole files", all(get(server, f"/v1/videos/{id}/content")[2] == clip for id in ids))
    doubled = {prompt: count for prompt, count in upstream.prompts().items() if count > 1}
    check("each was paid once", not doubled, doubled)


def check_refusals(program: str, directory: Path, environment: dict[str, str]) -> None:
    for url, part in (("s3://missing", "media.url = \"s3://missing\""), ("s3://id:secret@media", "AWS_ACCESS_KEY_ID")):
        arguments = environment | {"TRIPTYCH_MEDIA_URL": url, "TRIPTYCH_DATA_DIR": "other"}
        ended = subprocess.run([program], cwd=directory, env=arguments, capture_output=True, text=True, timeout=60, check=False)
        check(f"{url} stops the start", ended.returncode != 0 and part in ended.stderr and "secret@" not in ended.stderr, ended)


def check_redirects(server: Server, bucket: Bucket, clip: bytes) -> None:
    # Clients see the bucket under another name than the server.
    endpoint = bucket.url().replace("127.0.0.1", "localhost")
    server.environment |= {"TRIPTYCH_MEDIA_DOWNLOADS": "redirect", "TRIPTYCH_MEDIA_DOWNLOAD_ENDPOINT": endpoint}
    server.start()
    wait_until_ready(server)
    id = next(job["id"] for job in list_all(server) if job["status"] == "completed")
    path = f"/v1/videos/{id}/content"
    status, headers, body = get(server, path)
    location = headers.get("location", "")
    check("a download is redirected", (status, body) == (307, b"") and location.startswith(f"{endpoint}/{BUCKET}/triptych/{id}"), headers)
    with urllib.request.urlopen(location, timeout=60) as response:
        check("to the whole file", response.read() == clip)
        check("with its media type", response.headers["content-type"] == "video/mp4", response.headers)
    client = OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
    check("OpenAI's client follows", client.videos.download_content(id).read() == clip)
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers={"range": "bytes=-5"})
    with urllib.request.urlopen(request, timeout=60) as response:
        check("and the range of a request", (response.status, response.read()) == (206, clip[-5:]))
    status, body = create_picture(server, 50)
    picture = media_path(body["data"][0]["url"])
    status, headers, _ = get(server, picture)
    check("pictures are redirected", status == 307 and headers["location"].startswith(endpoint), headers)
    status, _, body = get(server, picture, {"sec-fetch-site": "same-origin"})
    check("except for the pages of the server", status == 200 and body[:4] == b"\x89PNG")


def main(program: str) -> None:
    # The server logs each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    program, directory = os.path.abspath(program), Path(tempfile.mkdtemp(prefix="bucket-"))
    clip = small_clip(program)
    # An MP4 box that players skip.
    clip += (PADDING + 8).to_bytes(4, "big") + b"free" + bytes(PADDING)
    assert mp4_defect(clip) is None
    bucket, upstream = Bucket(), Upstream(clip, {}, (0.1, 0.4))
    settings = {"VIDEO_SERVICE_TYPE": "openai", "VIDEO_BASE_URL": upstream.url, "VIDEO_MODELS": "scripted"}
    settings |= {"TRIPTYCH_VIDEO_OPENAI_POLL_INTERVAL": "200ms", "TRIPTYCH_VIDEO_ROUTING_FAILURES": "1000000"}
    settings |= CREDENTIALS | {"AWS_ENDPOINT_URL": bucket.url(), "TRIPTYCH_MEDIA_URL": f"s3://{BUCKET}/triptych"}
    server = Server(program, str(directory), settings)
    wait_until_ready(server)
    check_files(server, bucket, clip, directory / "data")
    check_outage(server, bucket, upstream, clip)
    check_kills(server, bucket, upstream, clip)
    server.process.terminate()
    check("the server ends", server.process.wait(60) == 0)
    check_redirects(server, bucket, clip)
    server.process.terminate()
    check("the server ends", server.process.wait(60) == 0)
    check_refusals(program, directory, server.environment)
    bucket.stop()
    shutil.rmtree(directory)


if __name__ == "__main__":
    main(sys.argv[1])
