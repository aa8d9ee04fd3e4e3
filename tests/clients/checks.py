"""What all Python clients share: where the server is, and what a picture and a clip must really be."""

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


def picture(data, size, form="PNG"):
    """Opens and decodes a picture, which must be of exactly this size and not of one colour."""
    image = Image.open(io.BytesIO(data))
    assert image.format == form, image.format
    assert size in (image.size, None), f"{image.size} instead of {size}"
    image.load()
    assert len(set(image.convert("RGB").resize((64, 64)).getdata())) > 50, "hardly any colours"
    return image


def png(size=(640, 360)):
    """A picture to start from: two gradients and a bar."""
    image = Image.new("RGB", size)
    width, height = size
    image.putdata([(255 * x // width, 255 * y // height, 200 if x < width // 8 else 40) for y in range(height) for x in range(width)])
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def clip(data, size, seconds, fps=30):
    """Decodes a clip to its last frame, which must be H.264 that every player takes, of exactly this size and length."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        facts = (stream.codec_context.name, stream.codec_context.pix_fmt, stream.width, stream.height)
        assert facts == ("h264", "yuv420p", *size), facts
        frames = [frame.to_ndarray(format="gray").mean() for frame in container.decode(stream)]
        length = float(stream.duration * stream.time_base)
    assert len(frames) == seconds * fps, f"{len(frames)} frames instead of {seconds * fps}"
    assert abs(length - seconds) < 0.05, f"{length} s instead of {seconds} s"
    assert data.index(b"moov") < data.index(b"mdat"), "the index stands behind the pictures: no progressive playback"
    return SimpleNamespace(frames=len(frames), seconds=length)


def main(tests):
    """Runs the named functions in order and tells what became of each; the process fails if one did."""
    only, failed = sys.argv[1:], []
    for test in tests:
        name = test.__name__.replace("_", " ")
        if only and not any(word in test.__name__ for word in only):
            continue
        start = time.monotonic()
        try:
            test()
            verdict = "ok  "
        except Exception:
            traceback.print_exc()
            failed.append(name)
            verdict = "FAIL"
        print(f"  {verdict} {name} ({time.monotonic() - start:.1f} s)", flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(tests)} failed: " + "; ".join(failed))
