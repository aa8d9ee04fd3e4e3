"""Stores media in a container of Azurite, an emulator of Azure Blob Storage, and downloads it through Triptych and from the container.

    azure.py PATH_OF_TRIPTYCH PATH_OF_AZURITE_BLOB

Azurite verifies signatures, those of the URLs to which downloads are redirected included.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from bucket import check, create_picture, get, media_path, status_of, wait_for, wait_until_ready
from server import Server, free_port

# The account that every Azurite has, and its key.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "media"


def signed(method: str, endpoint: str, query: str) -> urllib.request.Request:
    """Returns a request for the container with a signature of the account (Shared Key)."""
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    # After the method, the signature has the values of 11 standard headers, all of which are empty here.
    lines = [method, *[""] * 11, *(f"{name}:{value}" for name, value in headers.items()), f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}"]
    lines += [f"{name}:{value}" for name, value in sorted(urllib.parse.parse_qsl(query))]
    digest = hmac.digest(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256)
    headers["authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    return urllib.request.Request(f"{endpoint}/{CONTAINER}?{query}", headers=headers, method=method)


def objects(endpoint: str) -> str:
    """Returns the list of the container, as XML."""
    with urllib.request.urlopen(signed("GET", endpoint, "restype=container&comp=list"), timeout=30) as response:
        return response.read().decode()


def create_video(server: Server) -> str:
    """Creates a video and waits until it is completed. Returns its id."""
    status, data = server.call("POST", "/v1/videos", {"prompt": "a boat", "size": "64x64", "seconds": "1"})
    check("a video is created", status == 200, data)
    id = json.loads(data)["id"]
    wait_for(lambda: status_of(server, id) == "completed", "the video")
    return id


def check_proxied(server: Server, endpoint: str) -> None:
    _, body = create_picture(server, 0)
    path = media_path(body["data"][0]["url"])
    status, headers, whole = get(server, path)
    check("a picture is served", status == 200 and len(whole) == int(headers["content-length"]), headers)
    check("a range of it is served", get(server, path, {"range": "bytes=1-3"})[2] == b"PNG")
    id = create_video(server)
    listed = objects(endpoint)
    check("the video is in the directory of the container", f"<Name>triptych/{id}.mp4</Name>" in listed, listed)
    check("with its media type", "<Content-Type>video/mp4</Content-Type>" in listed, listed)
    check("the video is deleted", server.call("DELETE", f"/v1/videos/{id}")[0] == 200)
    wait_for(lambda: id not in objects(endpoint), "the removal of the objects")


def check_redirected(server: Server, endpoint: str) -> None:
    path = f"/v1/videos/{create_video(server)}/content"
    status, headers, _ = get(server, path)
    check("a download is redirected", status == 307 and headers["location"].startswith(f"{endpoint}/{CONTAINER}/"), headers)
    with urllib.request.urlopen(headers["location"], timeout=30) as response:
        check("the URL needs no credentials", response.read()[4:8] == b"ftyp")
    parts = urllib.parse.urlsplit(headers["location"].replace("sig=", "sig=A"))
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", f"{parts.path}?{parts.query}")
    check("an altered URL is refused", connection.getresponse().status == 403)


def main(program: str, azurite: str) -> None:
    program, directory = os.path.abspath(program), Path(tempfile.mkdtemp(prefix="azure-"))
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    # Azurite refuses versions of the API that are newer than itself, unless it skips that check.
    command = [azurite, "--blobPort", str(port), "--location", directory / "azurite", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    emulator, server = subprocess.Popen(command), None
    try:
        wait_for(lambda: is_created(endpoint), "Azurite")
        settings = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY, "AZURE_ENDPOINT": endpoint}
        settings["TRIPTYCH_MEDIA_URL"] = f"az://{CONTAINER}/triptych"
        server = Server(program, str(directory), settings)
        wait_until_ready(server)
        check_proxied(server, endpoint)
        server.process.terminate()
        server.process.wait(60)
        server.environment["TRIPTYCH_MEDIA_DOWNLOADS"] = "redirect"
        server.start()
        wait_until_ready(server)
        check_redirected(server, endpoint)
        server.process.terminate()
        check("the server ends", server.process.wait(60) == 0)
    finally:
        if server:
            server.process.kill()
        emulator.terminate()
        emulator.wait(30)
    shutil.rmtree(directory)


def is_created(endpoint: str) -> bool:
    """Creates the container, as soon as Azurite accepts connections."""
    try:
        urllib.request.urlopen(signed("PUT", endpoint, "restype=container"), timeout=30).close()
    except (ConnectionError, urllib.error.URLError) as error:
        if isinstance(error, urllib.error.HTTPError):
            raise
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
