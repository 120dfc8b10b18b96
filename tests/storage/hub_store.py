"""A server on 127.0.0.1 that takes what `huggingface_hub` uploads, speaking the hub's API as that library asks it.

Creating a repository, checking a card, the upload modes, git LFS's batch API, the commit: each was written against what
`huggingface_hub` 2.4 sends. As on the hub, large files go to a second host (here a second port), which may not see the token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_secretsecretsecretsecretsecret0000"


@dataclass
class Repository:
    """One repository on the server."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0


@dataclass
class Store:
    """What the server holds, and how it behaves."""

    token: str = TOKEN
    may_write: tuple[str, ...] = ("ann",)
    """The names that the token may write to."""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    """Status to answer by what is asked: create, preupload, batch, put, commit."""
    asked: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    """Authorizations that the second host saw."""
    url: str = ""
    cdn: str = ""


class _Handler(BaseHTTPRequestHandler):
    store: Store

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, status: int, value: object, **headers: str) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(data)


class _Hub(_Handler):
    """The hub itself."""

    def do_GET(self) -> None:
        name = self.path.removeprefix("/api/models/").partition("/revision/")[0]
        repository = self.store.repositories.get(name)
        if repository is None or not self._let_in():
            self._answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return
        self._answer(200, {"id": name, "private": repository.private, "sha": "0" * 40, "siblings": []})

    def do_POST(self) -> None:
        body, path = self._body(), self.path
        if path == "/api/validate-yaml":
            self._card(json.loads(body)["content"])
        elif not self._let_in():
            self._answer(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif "/preupload/" in path:
            self._modes(path.split("/preupload/")[0].removeprefix("/api/models/"), json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path.startswith("/verify"):
            known = self.store.blobs.get(json.loads(body)["oid"])
            self._answer(200 if known is not None and len(known) == json.loads(body)["size"] else 404, {})
        else:
            self._commit(path.split("/commit/")[0].removeprefix("/api/models/"), body)

    def do_DELETE(self) -> None:
        asked = json.loads(self._body())
        name = f"{asked['organization']}/{asked['name']}"
        gone = self.store.repositories.pop(name, None) if self._let_in() else None
        self._answer(*((200, {}) if gone else (404, {"error": "no such repository"})), X_Error_Code="RepoNotFound")

    def _let_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.store.token}"

    def _refused(self, what: str) -> bool:
        self.store.asked.append(what)
        status = self.store.refuse.get(what)
        if status is not None:
            self._answer(status, {"error": f"scripted {status} at https://signed.example/?X-Amz-Signature=abc"})
        return status is not None

    def _card(self, text: str) -> None:
        head = yaml.safe_load(text.removeprefix("---\n").split("\n---\n")[0])
        wrong = [name for name in ("license", "instance_prompt", "tags") if name not in head]
        self._answer(200, {"errors": [{"message": name} for name in wrong], "warnings": []})

    def _create(self, asked: dict[str, Any]) -> None:
        if self._refused("create"):
            return
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] not in self.store.may_write:
            self._answer(403, {"error": "You don't have the rights to create a model under this namespace"})
        elif name in self.store.repositories:
            self._answer(409, {"error": "You already created this model repo", "url": f"{self.store.url}/{name}"})
        else:
            self.store.repositories[name] = Repository(private=asked["visibility"] == "private")
            self._answer(200, {"url": f"{self.store.url}/{name}", "name": name})

    def _modes(self, name: str, asked: dict[str, Any]) -> None:
        if self._refused("preupload"):
            return
        held = self.store.repositories[name].files
        found = []
        for file in asked["files"]:
            path = file["path"]
            mode = "lfs" if path.endswith((".safetensors", ".png")) else "regular"
            found.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": _oid(held.get(path), mode)})
        self._answer(200, {"files": found})

    def _batch(self, asked: dict[str, Any]) -> None:
        if self._refused("batch"):
            return
        objects: list[dict[str, Any]] = []
        for wanted in asked["objects"]:
            actions = {
                "upload": {"href": f"{self.store.cdn}/{wanted['oid']}?X-Amz-Signature=abc", "header": {}},
                "verify": {"href": f"{self.store.url}/verify", "header": {}},
            }
            objects.append({**wanted, **({} if wanted["oid"] in self.store.blobs else {"actions": actions})})
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name: str, body: bytes) -> None:
        if self._refused("commit"):
            return
        repository = self.store.repositories[name]
        for line in body.splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "lfsFile":
                repository.files[value["path"]] = self.store.blobs[value["oid"]]
        repository.commits += 1
        url = f"{self.store.url}/{name}/commit/{'1' * 40}"
        self._answer(200, {"commitUrl": url, "commitOid": "1" * 40, "hookOutput": "", "success": True})


class _Cdn(_Handler):
    """The host of large files."""

    def do_PUT(self) -> None:
        if "Content-Length" not in self.headers:  # as S3 answers
            self._body()
            self._answer(501, {"error": "A header you provided implies functionality that is not implemented"})
            return
        data = self._body()
        if "Authorization" in self.headers:
            self.store.leaked.append(self.headers["Authorization"])
        self.store.asked.append("put")
        if (status := self.store.refuse.get("put")) is not None:
            self._answer(status, {"error": "scripted"})
            return
        oid = self.path.lstrip("/").partition("?")[0]
        assert hashlib.sha256(data).hexdigest() == oid
        self.store.blobs[oid] = data
        self._answer(200, {})


def _oid(data: bytes | None, mode: str) -> str | None:
    """How the hub names what it has: git's blob, or the SHA-256 of a large file."""
    if data is None:
        return None
    if mode == "lfs":
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def serving(store: Store) -> Iterator[Store]:
    """Both hosts, while the block runs."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (kind,), {"store": store})) for kind in (_Hub, _Cdn)]
    store.url, store.cdn = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield store
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
