"""A dataset of the hub, from a server on 127.0.0.1 that speaks its API."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from storage.captions import CaptionsRefused
from trainer import hub_pictures
from trainer.alone import parse
from trainer.gathering import gathered
from trainer.hub_pictures import MOST_FILES, DatasetRefused, brought, is_dataset
from trainer.wish import brought_together

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"read me",
    "train/1.jpg": b"one",
    "train/2.PNG": b"two",
    "train/2.txt": b"on grass",
    "train/metadata.jsonl": b'{"file_name": "1.jpg", "text": "at sea"}',
    "train/run.py": b"print()",
    "other/3.jpg": b"three",
}


class Hub(BaseHTTPRequestHandler):
    files: dict[str, bytes] = FILES
    lies: dict[str, int] = {}  # noqa: RUF012  # replaced by tests
    asked: list[str] = []  # noqa: RUF012  # shared on purpose

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        start = f"/datasets/ann/cat/resolve/{COMMIT}/"
        if path.startswith("/api/datasets/ann/cat"):
            siblings = [
                {"rfilename": n, "size": self.lies.get(n, len(d)), "blobId": "0" * 40} for n, d in self.files.items()
            ]
            said = {"_id": "1", "id": "ann/cat", "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
            return self._say(200, json.dumps(said).encode())
        if path.startswith(start) and path.removeprefix(start) in self.files:
            self.asked.append(f"{self.command} {path.removeprefix(start)}")
            return self._say(200, self.files[path.removeprefix(start)])
        return self._say(404, b"{}", ("X-Error-Code", "RepoNotFound"))

    def _say(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        digest = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        said = (("X-Repo-Commit", COMMIT), ("ETag", f'"{digest}"'), ("Content-Length", str(len(body))), *headers)
        for name, value in said:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    Hub.files, Hub.lies, Hub.asked = dict(FILES), {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_dataset_comes_as_a_folder_with_its_captions(hub: str, tmp_path: Path) -> None:
    folder = brought("ann/cat", tmp_path, endpoint=hub)
    assert sorted(p.name for p in folder.iterdir()) == ["1.jpg", "2.PNG", "2.txt", "metadata.jsonl"]
    assert gathered(folder).captions == {"1.jpg": "at sea", "2.PNG": "on grass"}
    assert not [asked for asked in Hub.asked if "run.py" in asked or "README" in asked]
    before = len([a for a in Hub.asked if a.startswith("GET")])
    assert brought("ann/cat", tmp_path, endpoint=hub) == folder
    assert len([a for a in Hub.asked if a.startswith("GET")]) == before, "nothing is fetched twice"


def test_metadata_of_the_folder_above_comes_along(hub: str, tmp_path: Path) -> None:
    said = (
        {"file_name": "images/1.jpg", "text": "at sea"},
        {"file_name": "images/2.jpg", "text": "größer"},
        {"file_name": "masks/1.jpg", "text": "a mask"},
    )
    written = "\n".join(json.dumps(line) for line in said).encode()
    Hub.files = {"a/metadata.jsonl": written, "a/images/1.jpg": b"1", "a/images/2.jpg": b"2", "a/masks/1.jpg": b"3"}
    folder = brought("ann/cat", tmp_path, endpoint=hub)
    assert gathered(folder).captions == {"1.jpg": "at sea", "2.jpg": "größer"}
    assert brought("ann/cat", tmp_path, endpoint=hub) == folder
    Hub.files = {"metadata.jsonl": b"{oops", "images/1.jpg": b"1"}
    with pytest.raises(CaptionsRefused, match="line 1 is no JSON"):
        gathered(brought("ann/cat", tmp_path / "other", endpoint=hub))
    beside = b'{"file_name": "1.jpg", "text": "its own"}'
    Hub.files = {"metadata.jsonl": written, "images/1.jpg": b"1", "images/metadata.jsonl": beside}
    assert gathered(brought("ann/cat", tmp_path / "third", endpoint=hub)).captions == {"1.jpg": "its own"}


def test_what_is_no_set_of_pictures_is_refused_before_anything_is_fetched(hub: str, tmp_path: Path) -> None:
    for files, lies, says in (
        ({"data/train.parquet": b"x"}, {}, "in tables or archives"),
        ({"README.md": b"x"}, {}, "has no pictures"),
        ({f"{n}.jpg": b"x" for n in range(MOST_FILES + 1)}, {}, "one order learns one subject"),
        ({"1.jpg": b"x"}, {"1.jpg": 1 << 40}, "1.jpg is too large"),
    ):
        Hub.files, Hub.lies = files, lies
        with pytest.raises(DatasetRefused, match=says):
            brought("ann/cat", tmp_path, endpoint=hub)
    assert Hub.asked == []


def test_a_dataset_that_is_not_there_or_lies_is_told(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetRefused, match="no dataset of that name"):
        brought("ann/nothing", tmp_path, endpoint=hub)
    Hub.lies = {"train/1.jpg": 2}
    with pytest.raises(DatasetRefused, match="another length"):
        brought("ann/cat", tmp_path, endpoint=hub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DatasetRefused, match="HF_HUB_OFFLINE is set"):
        brought("ann/cat", tmp_path, endpoint=hub)


def test_a_folder_that_is_here_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_dataset("ann/cat")
    (tmp_path / "ann" / "cat").mkdir(parents=True)
    assert not is_dataset("ann/cat")
    assert not any(map(is_dataset, ("cats", "/a/b", "../a/b", "a/b/c", "./a")))


def test_a_training_takes_a_dataset_where_there_is_no_such_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.jpg").write_bytes(b"picture")
    monkeypatch.setattr(
        hub_pictures, "brought", lambda name, into: {("ann/cat", "datasets"): tmp_path}[name, into.name]
    )
    wish, _ = parse(["ann/cat", "--subject", "character", "--out", str(tmp_path / "out")])
    assert brought_together(wish).files == (tmp_path / "1.jpg",)
    assert brought_together(replace(wish, pictures=tmp_path)).files == (tmp_path / "1.jpg",)
