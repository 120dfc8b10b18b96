"""Pictures of strangers: bytes in, an upright, stripped RGB JPEG out, or a refusal by name.

Decoders are written in C and read hostile bytes, so they run in a child process (`storage/decoding.py`) with little memory,
little time, no environment and no way to write files. Whatever happens there costs one picture.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.domain.errors import PictureFault, PictureRefused
from storage.lifeline import tied
from storage.system import KILL

NEAR_CELL = 80
"""Pictures none of whose 16 x 16 cells differ by more than this (of 255) are nearly the same. Measured on photographs and on
drawings over a plain ground: copies that were resized, recompressed, brightened or cropped by 2 % differ by at most 60 in their
worst cell, different pictures of one subject by at least 110. A 64-bit difference hash cannot tell those drawings apart."""
PICTURES_A_CHILD = 64
"""A child is replaced after so many pictures, so that nothing it leaks grows."""
THUMB_BYTES = 16 * 16 * 3
PIECE_BYTES = 256 * 1024
"""Of a file on its way to the child."""
MAX_ANSWER_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one picture may cost and must be."""

    max_bytes: int = 50 << 20
    """Of the file as sent."""
    max_pixels: int = 80_000_000
    """Width times height, read from the header before anything is decoded."""
    min_side: int = 256
    """Pixels of the short side: real bases learn nothing from less; the pocket takes 64."""
    max_side: int = 2048
    """Pixels of the long side of what is kept."""
    learned_px: int = 1024
    """Side of the square that the base learns at: what is soft or small is so at this size."""
    seconds: float = 60.0
    """Wall time, the start of the child included; computing time is bounded more tightly, by the child itself."""


LIMITS = Limits()
LIMITS_POCKET = Limits(min_side=64, learned_px=64)
LIMITS_OF: dict[str, Limits] = {"pocket": LIMITS_POCKET, "sd15": Limits(learned_px=512)}


def limits_for(base: str) -> Limits:
    """What a picture must be for this base model; most learn at 1024 px."""
    return LIMITS_OF.get(base, LIMITS)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A picture that can be learned from."""

    data: bytes
    """JPEG, quality 95, 4:4:4; no EXIF, no place, no profile."""
    sha256: str
    """Of `data`; equal pixels give equal bytes."""
    dhash: str
    """64-bit difference hash as 16 hex digits."""
    thumb: str
    """16 x 16 RGB cells in base64."""
    width: int
    height: int
    symptoms: dict[str, float] = field(default_factory=dict)
    """What `storage.symptoms` measured; `storage.domain.doctor` says what it means."""
    learned_px: int = 1024
    """The side that it was looked at for."""


def near(a_thumb: str, b_thumb: str) -> bool:
    """Whether two pictures are nearly the same. Raises `ValueError` for what is no thumb."""
    a, b = base64.b64decode(a_thumb), base64.b64decode(b_thumb)
    if len(a) != len(b) or len(a) != THUMB_BYTES:
        raise ValueError("a thumb has 16 x 16 RGB cells")
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= NEAR_CELL


def near_twin(new: Kept, others: dict[str, tuple[str, str]]) -> str | None:
    """The one of `others` (name -> sha256, thumb) that the picture nearly is; None where it is like no other.

    Raises `PictureRefused` where it is exactly one of them again: nothing is lost by that.
    """
    for name, (sha256, _) in others.items():
        if sha256 == new.sha256:
            raise PictureRefused(PictureFault.DUPLICATE, name)
    return next((name for name, (_, thumb) in others.items() if near(thumb, new.thumb)), None)


class Checker:
    """Checks one picture after another in a warm child. Close it when done."""

    def __init__(self) -> None:
        self._child: Process | None = None
        self._served = 0
        self._turn = asyncio.Lock()

    async def check(self, raw: bytes | Path, limits: Limits = LIMITS) -> Kept:
        """The kept picture. Raises `PictureRefused`; a child that failed, hung or was cut off is replaced."""
        _refuse_size(raw, limits)
        async with self._turn:
            try:
                async with asyncio.timeout(limits.seconds):
                    return await self._ask(raw, limits)
            except TimeoutError as error:
                await self._end()
                raise PictureRefused(PictureFault.TOO_SLOW, f"more than {limits.seconds:g} s") from error
            except PictureRefused:
                raise
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise await self._autopsy() from error
            except BaseException:
                await self._end()
                raise

    async def _ask(self, raw: bytes | Path, limits: Limits) -> Kept:
        child = await self._ready()
        ask = {
            "bytes": _size(raw),
            "max_pixels": limits.max_pixels,
            "min_side": limits.min_side,
            "max_side": limits.max_side,
            "learned_px": limits.learned_px,
        }
        assert child.stdin is not None  # noqa: S101  # it was made with a pipe
        text = json.dumps(ask).encode()
        child.stdin.write(struct.pack(">I", len(text)) + text)
        await _send(child.stdin, raw)
        answer, picture = await _receive(child)
        self._served += 1
        if answer["last"] or self._served >= PICTURES_A_CHILD:
            await self._end()
        if "fault" in answer:
            raise PictureRefused(PictureFault(answer["fault"]), answer["detail"])
        return Kept(
            data=picture,
            sha256=answer["sha256"],
            dhash=answer["dhash"],
            thumb=answer["thumb"],
            width=answer["width"],
            height=answer["height"],
            symptoms=answer["symptoms"],
            learned_px=limits.learned_px,
        )

    async def _ready(self) -> Process:
        if self._child is None or self._child.returncode is not None:
            await self._end()
            self._child = await asyncio.create_subprocess_exec(
                *tied((sys.executable, "-I", str(Path(__file__).with_name("decoding.py"))), ends_by=KILL),
                stdin=PIPE,
                stdout=PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
                limit=1 << 20,
            )
            self._served = 0
        return self._child

    async def _autopsy(self) -> PictureRefused:
        """Why the child died over this picture."""
        assert self._child is not None  # noqa: S101  # it just died
        code = await self._child.wait()
        await self._end()
        if code == -signal.SIGXCPU:
            return PictureRefused(PictureFault.TOO_SLOW, "too much computing time")
        return PictureRefused(PictureFault.NOT_A_PICTURE, f"its decoder ended with {code}")

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            child.kill()
        if child.stdin is not None:
            child.stdin.close()
        await child.wait()
        if child.stdout is not None:  # read to the end, so that the pipe is closed now and not by the garbage collector
            await child.stdout.read()

    async def close(self) -> None:
        """End the child."""
        async with self._turn:
            await self._end()


async def check(raw: bytes | Path, out: Path | None = None, limits: Limits = LIMITS) -> Kept:
    """Check one picture in a child of its own; with `out`, the kept file is also written there, whole or not at all."""
    checker = Checker()
    try:
        found = await checker.check(raw, limits)
    finally:
        await checker.close()
    if out is not None:
        await asyncio.to_thread(_write, out, found.data)
    return found


def _refuse_size(raw: bytes | Path, limits: Limits) -> None:
    size = _size(raw)
    if size == 0:
        raise PictureRefused(PictureFault.EMPTY)
    if size > limits.max_bytes:
        raise PictureRefused(PictureFault.TOO_MANY_BYTES, f"{size} bytes, at most {limits.max_bytes}")


def _size(raw: bytes | Path) -> int:
    return len(raw) if isinstance(raw, bytes) else raw.stat().st_size


async def _send(stdin: asyncio.StreamWriter, raw: bytes | Path) -> None:
    """In pieces, each after the one before it was taken: this process never holds a whole file."""
    with io.BytesIO(raw) if isinstance(raw, bytes) else raw.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
            stdin.write(piece)
            await stdin.drain()


async def _receive(child: Process) -> tuple[dict[str, Any], bytes]:
    assert child.stdout is not None  # noqa: S101  # it was made with a pipe
    (size,) = struct.unpack(">I", await child.stdout.readexactly(4))
    if size > 1 << 16:
        raise ConnectionError("the decoder does not keep to its frames")
    answer: dict[str, Any] = json.loads(await child.stdout.readexactly(size))
    if not 0 <= answer["bytes"] <= MAX_ANSWER_BYTES:
        raise ConnectionError("the decoder does not keep to its frames")
    return answer, await child.stdout.readexactly(answer["bytes"])


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)
