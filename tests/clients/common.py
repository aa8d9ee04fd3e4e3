"""Shared by the Python clients: the server's addresses, checks of images and videos, and a test runner."""

import io
import os
import sys
import time
import traceback
from types import SimpleNamespace

import av
from PIL import Image

REST = os.environ["TRIPTYCH_REST"]  # http://127.0.0.1:8000
GRPC = os.environ["TRIPTYCH_GRPC"]  # 127.0.0.1:50051


def check_image(data, size, form="PNG"):
    """Decodes an image. It must have this size, if any, and more than one colour."""
    image = Image.open(io.BytesIO(data))
    assert image.format == form, image.format
    assert size in (image.size, None), f"size {image.size}, expected {size}"
    image.load()
    assert len(set(image.convert("RGB").resize((64, 64)).getdata())) > 50, "the image has hardly any colours"
    return image


def sample_png(size=(640, 360)):
    """Returns a PNG of two gradients and a bar."""
    image = Image.new("RGB", size)
    width, height = size
    image.putdata([(255 * x // width, 255 * y // height, 200 if x < width // 8 else 40) for y in range(height) for x in range(width)])
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def check_video(data, size, seconds, fps=30):
    """Decodes a video to its last frame. It must be H.264 with 4:2:0 chroma, of this size and length in seconds, with its index
    first. Returns the numbers of frames and seconds."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        facts = (stream.codec_context.name, stream.codec_context.pix_fmt, stream.width, stream.height)
        assert facts == ("h264", "yuv420p", *size), facts
        frames = [frame.to_ndarray(format="gray").mean() for frame in container.decode(stream)]
        length = float(stream.duration * stream.time_base)
    assert len(frames) == seconds * fps, f"{len(frames)} frames, expected {seconds * fps}"
    assert abs(length - seconds) < 0.05, f"{length} s, expected {seconds} s"
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes after the frames, which prevents progressive playback"
    return SimpleNamespace(frames=len(frames), seconds=length)


def run_tests(names):
    """Runs the functions of a module that begin with `test_`, or those that contain a word of the command line. Exits with
    an error if one of them fails."""
    only, failed, passed = sys.argv[1:], [], 0
    for name, test in list(names.items()):
        if not name.startswith("test_") or (only and not any(word in name for word in only)):
            continue
        name = name.removeprefix("test_").replace("_", " ")
        start = time.monotonic()
        try:
            test()
            verdict = "ok  "
            passed += 1
        except Exception:
            traceback.print_exc()
            failed.append(name)
            verdict = "FAIL"
        print(f"  {verdict} {name} ({time.monotonic() - start:.1f} s)", flush=True)
    if failed:
        sys.exit(f"{passed} passed, {len(failed)} failed: " + "; ".join(failed))
