"""One HTTP call of the bot as the route functions get it, and reading it from the socket with bounds."""

from __future__ import annotations

import json
import mimetypes
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader

from bot.loopback import picture_size
from bot.loopback.failures import Refusal, invalid
from bot.loopback.world import Attachment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aiohttp import web

    from bot.loopback.service import Service

PIECE_BYTES = 256 * 1024
MAX_JSON_BYTES = 2 * 1024 * 1024
MAX_FILES = 10
MAX_NAME = 260
FILE_FIELD = re.compile(r"files\[(\d{1,2})\]")
TYPES = {
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".webp": "image/webp",
    ".safetensors": "application/octet-stream",
}


@dataclass(kw_only=True)
class Incoming:
    """A file that has arrived and is not yet part of a message."""

    filename: str
    path: Path
    size: int

    def keep(self, service: Service, *, channel_id: int, uploader_id: int, ephemeral: bool = False) -> Attachment:
        """Make it an attachment of the world."""
        number = service.ids.new()
        size = picture_size.of_file(self.path)
        item = Attachment(
            id=number,
            channel_id=channel_id,
            filename=self.filename,
            size=self.size,
            content_type=content_type(self.filename),
            width=size[0] if size else None,
            height=size[1] if size else None,
            ephemeral=ephemeral,
            uploader_id=uploader_id,
        )
        self.path.rename(service.blobs / str(number))
        service.world.uploads[number] = item
        return item


@dataclass(kw_only=True)
class Call:
    """A request that has passed authentication, rate limit and contract."""

    service: Service
    ids: dict[str, int]  # path parameters that are snowflakes
    names: dict[str, str]  # the other path parameters
    query: Mapping[str, str]
    body: Any = None
    files: dict[int, Incoming] = field(default_factory=dict)
    arrived_at: float = 0.0

    def flag(self, name: str) -> bool:
        """A yes-or-no query parameter."""
        return self.query.get(name, "false").lower() in {"1", "true"}


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method on a path template of the contract, and who serves it."""

    method: str
    template: str
    serve: Callable[[Call], tuple[int, Any]]
    authorised: bool = True  # False: the token in the path is the key


def content_type(filename: str) -> str:
    """What Discord says a file is: by its name."""
    suffix = "." + filename.rpartition(".")[2].lower()
    return TYPES.get(suffix) or mimetypes.guess_type(filename)[0] or "application/octet-stream"


async def read(request: web.Request, service: Service) -> tuple[Any, dict[int, Incoming], str]:
    """The JSON of a request, its files, and the media type it came as.

    Raises:
        Refusal: 40005 over the size, 50035 where the form is not one.
    """
    if (request.content_length or 0) > service.rules.request_bytes:
        raise Refusal(40005)
    if request.content_type == "multipart/form-data":
        body, files = await _read_form(request, service)
        return body, files, "multipart/form-data"
    if not request.can_read_body:
        return None, {}, ""
    raw = await request.content.read(MAX_JSON_BYTES + 1)
    while not request.content.at_eof() and len(raw) <= MAX_JSON_BYTES:
        raw += await request.content.read(MAX_JSON_BYTES + 1 - len(raw))
    if len(raw) > MAX_JSON_BYTES:
        raise Refusal(40005)
    return (_parse(raw) if raw else None), {}, request.content_type


def _parse(raw: bytes) -> Any:  # noqa: ANN401  # any JSON
    try:
        return json.loads(raw)
    except ValueError as error:
        raise invalid("", "The request body contains invalid JSON.") from error


async def _read_form(request: web.Request, service: Service) -> tuple[Any, dict[int, Incoming]]:
    body: Any = None
    files: dict[int, Incoming] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise invalid("", "nested form")
        place = FILE_FIELD.fullmatch(part.name or "")
        if part.name == "payload_json":
            body = _parse(bytes(await part.read(decode=True)))
        elif place and len(files) < MAX_FILES:
            files[int(place[1])] = await _store(part, service)
        else:
            discard(files)
            raise invalid(part.name or "", "unknown form field, or more than 10 files")
    return body, files


async def _store(part: BodyPartReader, service: Service) -> Incoming:
    path = service.blobs / f"incoming-{secrets.token_hex(8)}"
    size = 0
    with path.open("wb") as file:
        while piece := await part.read_chunk(PIECE_BYTES):
            file.write(piece)
            size += len(piece)
    return Incoming(filename=clean_name(part.filename or "unknown"), path=path, size=size)


def clean_name(name: str) -> str:
    """A file name as Discord keeps it: letters, digits, `-_.`; everything else becomes an underscore."""
    return re.sub(r"[^\w.\-]", "_", name.replace(" ", "_"))[-MAX_NAME:] or "unknown"


def discard(files: dict[int, Incoming]) -> None:
    """Throw away files that did not make it into a message."""
    for incoming in files.values():
        incoming.path.unlink(missing_ok=True)
