"""A server on 127.0.0.1 that speaks the hub's API as far as fetching a model goes, and can be told to misbehave.

As on the hub, weights are answered with a redirect to a second host (here a second port), which knows ranges and may not see
the token.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = (".safetensors", ".onnx")
"""What the hub keeps on its second host."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has, and how it behaves."""

    files: dict[str, bytes]
    repository: str
    gated: bool = False
    token: str | None = None
    """Whoever brings this one is let in."""
    cut_after: list[int] = field(default_factory=list)
    """The next answers with weights break off after so many bytes."""
    ignores_ranges: bool = False
    busy: int = 0
    """So many requests for weights are answered 503."""
    spoilt: int = 0
    """So many answers with weights have a wrong byte."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range) of every request for weights."""
    leaked: list[str] = field(default_factory=list)
    """Tokens that the second host saw."""
    url: str = ""
    cdn: str = ""

    def info(self) -> dict[str, Any]:
        """As `GET /api/models/<repository>/revision/<commit>?blobs=true` answers."""
        return {"_id": "1", "id": self.repository, "sha": COMMIT, "private": False, "tags": [], "downloads": 0,
                "siblings": [self._sibling(name) for name in self.files]}  # fmt: skip

    def _sibling(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        said: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
        if name.endswith(LARGE):
            said["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return said


def git_sha1(data: bytes) -> str:
    """What git calls a file with these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _may(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"


class _Front(_Answers):
    def do_GET(self) -> None:
        hub, path = self.hub, self.path.split("?")[0]
        if path == f"/api/models/{hub.repository}/revision/{COMMIT}":
            return self._say(200, json.dumps(hub.info()).encode(), Content_Type="application/json")
        start = f"/{hub.repository}/resolve/{COMMIT}/"
        if not path.startswith(start):
            return self._say(404, b"{}", X_Error_Code="RepoNotFound")
        if hub.gated and not self._may():
            status = 403 if self.headers.get("Authorization") else 401
            return self._say(status, b"{}", X_Error_Code="GatedRepo", X_Error_Message="restricted")
        name = path.removeprefix(start)
        if name.endswith(LARGE):
            return self._say(302, b"", Location=f"{hub.cdn}/{name}", X_Repo_Commit=COMMIT)
        return self._say(200, hub.files[name], X_Repo_Commit=COMMIT, ETag=f'"{git_sha1(hub.files[name])}"')


class _Store(_Answers):
    def do_GET(self) -> None:
        hub, name = self.hub, self.path.removeprefix("/")
        asked = self.headers.get("Range")
        hub.asked.append((name, asked))
        if token := self.headers.get("Authorization"):
            hub.leaked.append(token)
        if hub.busy:
            hub.busy -= 1
            return self._say(503, b"busy")
        data, begin = hub.files[name], 0
        if asked and not hub.ignores_ranges:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        if hub.spoilt:
            hub.spoilt -= 1
            data = bytes([data[0] ^ 1]) + data[1:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        stop = hub.cut_after.pop(0) if hub.cut_after else len(data)
        self.wfile.write(data[begin : begin + stop])
        self.close_connection = True
        return None


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Both hosts, until the block ends."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (kind,), {"hub": hub})) for kind in (_Front, _Store)]
    hub.url, hub.cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
