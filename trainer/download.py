"""One file from the hub into the cache that all programs share: goes on where it stopped, and is used only if its hash is right.

The cache's layout is the hub library's own (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): `blobs/<hash>`
and `snapshots/<commit>/<path>` pointing there. That library (2.4) begins an interrupted file anew; this goes on.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx2
from huggingface_hub import get_session, get_token, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError

from storage.domain.observers import Observer
from trainer.hub import FetchRefused, HubFile, Known, Listing, refusal

Tell = Callable[[int], None]
"""Is told how many more bytes are here or checked; a negative number where some turned out useless."""
TIMEOUT = httpx2.Timeout(30.0, connect=15.0)
"""Seconds without a single byte."""
TRIES = 5
"""Attempts in a row that bring nothing new."""
BLOCK = 1 << 20


class Cache:
    """The cached copy of one commit of a model."""

    def __init__(self, root: Path, known: Known, listing: Listing, endpoint: str | None = None) -> None:
        self.home = root / f"models--{listing.repository.replace('/', '--')}"
        self.folder = self.home / "snapshots" / listing.commit
        self._known, self._listing, self._endpoint = known, listing, endpoint
        self.pause_s = 1.0
        """Before the second attempt; doubles."""

    def blob(self, file: HubFile) -> Path:
        """Where the bytes lie, whatever they are called in the repository."""
        return self.home / "blobs" / file.digest

    def part(self, file: HubFile) -> Path:
        """Where bytes lie before they are known to be right."""
        return self.blob(file).with_name(f"{file.digest}.lorasmith-part")

    def here(self) -> dict[str, int]:
        """Bytes on this machine by digest."""
        found = {}
        for file in self._listing.files:
            for path in (self.folder / file.path, self.blob(file), self.part(file)):
                if path.is_file():
                    found[file.digest] = min(file.size, path.stat().st_size)
                    break
        return found

    def bring(self, file: HubFile, tell: Tell) -> Path:
        """The file in its place, its length and hash as the hub says. Raises `FetchRefused`."""
        place, blob, part = self.folder / file.path, self.blob(file), self.part(file)
        if place.exists() and right(place, file, tell):
            return place
        place.unlink(missing_ok=True)  # damaged, or a link to nothing
        if blob.exists() and not right(blob, file, tell):
            blob.unlink()
        if not blob.exists():
            part.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(file, part, tell)
            part.replace(blob)
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(blob, place)
        return place

    def _fetch(self, file: HubFile, part: Path, tell: Tell) -> None:
        damaged = 0
        while True:
            self._stream_all(file, part, tell)
            if right(part, file, lambda _: None):
                return
            part.unlink()
            tell(-file.size)
            damaged += 1
            if damaged == 2:
                raise FetchRefused(
                    f"{file.path} came twice with another hash than {self._who(file)}; it was thrown away"
                )

    def _who(self, file: HubFile) -> str:
        """Whose word a hash is."""
        pinned = isinstance(self._known, Observer) and file.path in self._known.hashes
        return "lorasmith knows" if pinned else "the hub says"

    def _stream_all(self, file: HubFile, part: Path, tell: Tell) -> None:
        """Every byte into `part`; a broken connection is taken up again where it broke."""
        tries, pause = 0, self.pause_s
        tell(min(_size(part), file.size))
        while (before := _size(part)) < file.size or not part.exists():
            try:
                self._stream(file, part, tell)
            except (httpx2.HTTPError, OSError) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise FetchRefused(
                        f"the disk is full: {_gb(file.size - _size(part))} of {file.path} are missing"
                    ) from error
                tries = 1 if _size(part) > before else tries + 1
                if tries >= TRIES or not _passes(error):
                    raise FetchRefused(refusal(error, self._known)) from error
                time.sleep(pause)
                pause = min(2 * pause, 30.0)

    def _stream(self, file: HubFile, part: Path, tell: Tell) -> None:
        if (begin := _size(part)) > file.size:
            part.unlink()
            begin = 0
        url = hf_hub_url(self._listing.repository, file.path, revision=self._listing.commit, endpoint=self._endpoint)
        headers = _headers(begin)
        with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT, follow_redirects=True) as answer:
            if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()
                tell(-begin)
                return
            if answer.is_error:
                answer.read()
            hf_raise_for_status(answer)
            goes_on = answer.status_code == HTTPStatus.PARTIAL_CONTENT
            if begin and not goes_on:
                tell(-begin)
            with part.open("ab" if goes_on else "wb") as out:
                self._write(answer, out.write, file.size - (begin if goes_on else 0), tell)
                out.flush()
                os.fsync(out.fileno())

    def _write(self, answer: httpx2.Response, write: Callable[[bytes], int], room: int, tell: Tell) -> None:
        for block in answer.iter_raw():
            if len(block) > room:
                raise FetchRefused(f"{self._listing.repository} sends more than the hub says")
            room -= write(block)
            tell(len(block))


def right(path: Path, file: HubFile, tell: Tell) -> bool:
    """Whether a file has the length and hash that the hub says."""
    if path.stat().st_size != file.size:
        return False
    digest = hashlib.sha256() if file.large else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
            tell(len(block))
    if digest.hexdigest() == file.digest:
        return True
    tell(-file.size)
    return False


def _headers(begin: int) -> dict[str, str]:
    """The token goes to the hub alone: the client drops it where the hub sends on to another host."""
    token = get_token()
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return headers | ({"Range": f"bytes={begin}-"} if begin else {})


def _passes(error: BaseException) -> bool:
    """Whether another attempt may do better: a broken line or a busy server, not a refusal."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500 or error.response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(error, httpx2.TransportError)


def _link(blob: Path, place: Path) -> None:
    """As the hub's library does: a relative link, and where the system has none the file itself."""
    try:
        place.symlink_to(os.path.relpath(blob, place.parent))
    except OSError:
        shutil.move(blob, place)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _gb(size: int) -> str:
    return f"{size / 10**9:.1f} GB"
