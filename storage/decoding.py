"""The child process that opens pictures of strangers: started by `storage.pictures`, by file, with an empty environment, tied to
its life.

It knows nothing but what comes in on stdin, and imports nothing of lorasmith but `symptoms`, the file beside it. Both
directions are frames: four bytes of length, big-endian, then JSON; the picture's bytes follow the JSON that says how many there
are.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import pillow_heif
from PIL import Image, ImageCms, ImageFile, ImageOps

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF", "MPO")
"""What cameras, phones, painters and browsers write; Pillow's rarer readers are never let near a stranger's bytes."""
ADDRESS_SPACE = 1536 << 20
"""Bytes of memory, libraries included, that one picture may cost."""
CPU_S = 20
"""CPU seconds that one picture may cost; the parent's own limit is of wall time, longer, so that a busy machine is no fault."""
QUALITY = 95


def _sibling(name: str) -> ModuleType:
    """A file beside this one: an isolated interpreter looks for modules neither here nor in lorasmith."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SYMPTOMS = _sibling("symptoms")


class Refused(Exception):
    """One picture cannot be used; `fault` is a value of `storage.domain.errors.PictureFault`."""

    def __init__(self, fault: str, detail: str = "") -> None:
        super().__init__(fault)
        self.fault = fault
        self.detail = detail


def main() -> None:
    """Serve pictures until stdin closes, or until one of them did damage."""
    _fence()
    pillow_heif.register_heif_opener()
    pillow_heif.options.DECODE_THREADS = 1
    Image.MAX_IMAGE_PIXELS = None  # sizes are checked from the header, against the limit that was asked for
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while (ask := _receive(source)) is not None:
        raw = source.read(ask["bytes"])
        _spend_at_most(CPU_S)
        answer, data, healthy = _answer(raw, ask)
        _send(sink, {**answer, "bytes": len(data), "last": not healthy}, data)
        if not healthy:
            return


def _answer(raw: bytes, ask: dict[str, Any]) -> tuple[dict[str, Any], bytes, bool]:
    """The answer, the picture, and whether this process is still fit for another one."""
    try:
        picture = _upright(raw, ask)
        data = _jpeg(picture)
        seen = {"symptoms": SYMPTOMS.symptoms(picture, ask["learned_px"])}
    except Refused as refusal:
        return {"fault": refusal.fault, "detail": refusal.detail}, b"", refusal.fault != "truncated"
    except MemoryError:
        return {"fault": "too_many_pixels", "detail": "more memory than one picture may take"}, b"", False
    facts = {"sha256": hashlib.sha256(data).hexdigest(), "dhash": dhash(picture), "thumb": thumb(picture), **seen}
    return {**facts, "width": picture.width, "height": picture.height}, data, True


def _upright(raw: bytes, ask: dict[str, Any]) -> Image.Image:
    """The first frame: upright, RGB over white, in sRGB, at most `max_side`. Raises `Refused`."""
    if not raw:
        raise Refused("empty")
    try:
        image: Image.Image = Image.open(io.BytesIO(raw), formats=FORMATS)
    except MemoryError:
        raise
    except Exception as error:
        raise Refused("not_a_picture") from error
    width, height = image.size
    if width * height > ask["max_pixels"]:
        raise Refused("too_many_pixels", f"{width} x {height}")
    if min(width, height) < ask["min_side"]:
        raise Refused("too_small", f"{width} x {height}, at least {ask['min_side']} on the short side")
    try:
        return _decode(image, ask["max_side"])
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise Refused("truncated", _cause(error)) from error


def _cause(error: Exception) -> str:
    """What the decoder says of a damaged file; nothing where it only says that the file ends too early."""
    said = " ".join(str(error).split())
    return "" if "truncated" in said.lower() else said[:80] or type(error).__name__


def _decode(image: Image.Image, max_side: int) -> Image.Image:
    image.draft(None, (max_side * 2, max_side * 2))  # lets JPEG decode at a half, a quarter or an eighth
    image.load()
    icc = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(_flat(_eight_bit(image), max_side, icc))
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)  # a new picture: nothing of the old one's metadata can be written
    return bare


def _eight_bit(image: Image.Image) -> Image.Image:
    """Deep greys scaled to 8 bits, where Pillow's own conversion would clip them. (Deep colours it scales by itself.)"""
    if not image.mode.startswith(("I", "F")):
        return image
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else _span(image)
    scale = 255.0 / max(high - low, 1e-9)
    deep = image.convert("F")
    grey = deep.point(lambda v: v * scale + (-low * scale)).convert("L")
    grey.info = dict(image.info)
    return _with_exif(grey, image)


def _span(image: Image.Image) -> tuple[float, float]:
    low, high = (float(v) for v in image.getextrema())  # type: ignore[arg-type]  # one band
    return (0.0, 65535.0) if image.mode == "I" and low >= 0 and 255 < high <= 65535 else (low, high)


def _flat(image: Image.Image, max_side: int, icc: bytes | None) -> Image.Image:
    """RGB in sRGB over white, shrunk before anything costly is done."""
    if image.mode == "P" or "transparency" in image.info or image.mode in ("1", "LA", "La", "PA", "RGBa"):
        whole = image.convert("RGBA")
    else:
        whole = image
    whole.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    colour = _over_white(whole) if whole.mode == "RGBA" else whole
    return _with_exif(_srgb(colour, icc), image)


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Phones take pictures in wider colour spaces: without their profile the numbers mean other colours."""
    if icc and image.mode in ("RGB", "CMYK", "L"):
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            turned = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if turned is not None:
                return turned
    return image.convert("RGB")


def _with_exif(image: Image.Image, source: Image.Image) -> Image.Image:
    """Keep the orientation through conversions that drop it."""
    orientation = source.getexif().get(0x0112)
    image.info.pop("exif", None)
    image.getexif().clear()
    if orientation in range(2, 9):
        image.getexif()[0x0112] = orientation
    return image


def _jpeg(image: Image.Image) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=QUALITY, subsampling=0)
    return sink.getvalue()


def dhash(image: Image.Image) -> str:
    """64 bits, 16 hex digits: whether each of 8 x 8 grey cells is brighter than its right neighbour.

    Krawetz, "Kind of Like That" (hackerfactor.com, 2013): near pictures have near hashes, whatever their size and encoding.
    """
    small = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    grey = small.tobytes()
    bits = "".join("1" if grey[9 * y + x] > grey[9 * y + x + 1] else "0" for y in range(8) for x in range(8))
    return f"{int(bits, 2):016x}"


def thumb(image: Image.Image) -> str:
    """16 x 16 cells of RGB in base64: what two pictures are compared by."""
    return base64.b64encode(image.resize((16, 16), Image.Resampling.BOX).tobytes()).decode()


def _fence() -> None:
    """Little memory and no files.

    macOS refuses every limit of the address space (https://github.com/python/cpython/issues/78783), and Windows has no limits
    at all: there those of pixels, read from the header before anything is decoded, stand alone.
    """
    if resource is None:
        return
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _spend_at_most(seconds: int) -> None:
    """CPU time from now on; where nobody counts it the parent's own limit of wall time holds alone."""
    if resource is not None:
        soft = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _receive(source: IO[bytes]) -> dict[str, Any] | None:
    head = source.read(4)
    if len(head) < 4:
        return None
    (size,) = struct.unpack(">I", head)
    ask: dict[str, Any] = json.loads(source.read(size))
    return ask


def _send(sink: IO[bytes], answer: dict[str, Any], data: bytes) -> None:
    text = json.dumps(answer).encode()
    sink.write(struct.pack(">I", len(text)) + text + data)
    sink.flush()


if __name__ == "__main__":
    main()
