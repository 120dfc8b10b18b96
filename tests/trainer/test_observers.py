"""`lorasmith fetch captioner|tagger|faces`: pinned by hash, found by workers without a setting; a setting holds over it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np
import pytest
from huggingface_hub import constants

from storage.domain.bases import BASES
from storage.domain.errors import LorasmithError
from storage.domain.observers import BEFORE, EYES, OBSERVERS, Observer
from storage.lora_file import write_lora
from tests.trainer.hub_server import COMMIT, Hub, serving
from trainer import alone, bases, download, fetch, plans
from trainer.comparison import EyeName
from trainer.hub import FetchRefused
from trainer.observers import fetched, missing_of, require, row
from trainer.settings import WorkerSettings


def content(name: str, path: Path) -> bytes:
    if name.endswith(".safetensors"):
        write_lora(path, {"a": np.full(9000, sum(name.encode()), dtype=np.float32)}, {})
        return path.read_bytes()
    return f"{name} ".encode() * 5000 if name.endswith(".onnx") else f"{name}\n".encode()


def small(name: str, path: Path) -> tuple[Observer, dict[str, bytes]]:
    """The row of the registry with small files of the same names, and their hashes."""
    known = OBSERVERS[name]
    files = {file: content(file, path) for file in (*known.needed, *known.extras)}
    hashes = {file: hashlib.sha256(files[file]).hexdigest() for file in known.hashes}
    return replace(known, revision=COMMIT, hashes=MappingProxyType(hashes)), files


Serve = Callable[[Observer, dict[str, bytes]], Hub]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    with ExitStack() as stack:

        def start(known: Observer, files: dict[str, bytes]) -> Hub:
            monkeypatch.setitem(OBSERVERS, known.name, known)
            running: AbstractContextManager[Hub] = serving(Hub(files=files, repository=known.hub))
            return stack.enter_context(running)

        yield start


@pytest.mark.parametrize("name", list(OBSERVERS))
def test_what_was_fetched_is_whole_and_found_without_a_setting(name: str, serve: Serve, tmp_path: Path) -> None:
    known, files = small(name, tmp_path / "x.safetensors")
    hub = serve(known, files | {"README.md": b"read me", "pytorch_model.bin": b"\x80pickle"})
    assert WorkerSettings().observer(name, gpu=True) == ""
    folder = fetch.fetch(known, endpoint=hub.url)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    found = str(folder / known.needed[0]) if len(known.needed) == 1 else str(folder)
    assert WorkerSettings().observer(name, gpu=True) == fetched(known) == found
    assert WorkerSettings(**{name: "/elsewhere"}).observer(name, gpu=True) == "/elsewhere"
    assert WorkerSettings(**{name: "none"}).observer(name, gpu=True) == ""
    assert WorkerSettings().observer(name, gpu=False) == ("" if name == "captioner" else found)
    before = len(hub.asked)
    fetch.fetch(known, endpoint=hub.url)
    assert len(hub.asked) == before, "it was fetched again"


def test_a_download_that_was_stopped_goes_on_and_is_not_used_before(serve: Serve, tmp_path: Path) -> None:
    known, files = small("tagger", tmp_path / "x")
    hub = serve(known, files)
    hub.cut_after = [50_000] + [0] * 20
    with pytest.raises(FetchRefused, match="cannot be reached"):
        fetch.fetch(known, endpoint=hub.url)
    assert fetched(known) == ""
    assert row(known, "")["missing"] == ["model.onnx"]
    hub.cut_after, hub.asked = [], []
    assert fetch.fetch(known, endpoint=hub.url)
    assert hub.asked == [("model.onnx", "bytes=50000-")]
    assert fetched(known)


def test_the_hubs_word_is_not_enough_for_a_hash_that_is_known(serve: Serve, tmp_path: Path) -> None:
    known, files = small("tagger", tmp_path / "x")
    hub = serve(known, files | {"model.onnx": b"another model, whose hash the hub tells truly"})
    with pytest.raises(FetchRefused, match=r"another model\.onnx .* than the one that lorasmith knows"):
        fetch.fetch(known, endpoint=hub.url)
    assert hub.asked == []
    hub.files |= {"model.onnx": files["model.onnx"], "selected_tags.csv": b"other tags"}  # a small file: git's hash
    with pytest.raises(FetchRefused, match="another hash than lorasmith knows"):
        fetch.fetch(known, endpoint=hub.url)
    assert fetched(known) == ""


def test_a_repository_without_a_needed_file_and_a_hub_out_of_reach_are_told(serve: Serve, tmp_path: Path) -> None:
    known, files = small("captioner", tmp_path / "x.safetensors")
    hub = serve(known, {name: data for name, data in files.items() if name != "tokenizer.json"})
    with pytest.raises(FetchRefused, match=r"has no tokenizer\.json"):
        fetch.fetch(known, endpoint=hub.url)
    with pytest.raises(FetchRefused, match=r"bring the files by hand from https://.* set LORASMITH_CAPTIONER"):
        fetch.fetch(known, endpoint="http://127.0.0.1:9")


def test_weights_that_were_cut_off_later_are_not_used(serve: Serve, tmp_path: Path) -> None:
    known, files = small("captioner", tmp_path / "x.safetensors")
    hub = serve(known, files)
    folder = fetch.fetch(known, endpoint=hub.url)
    file = folder / "model-00002-of-00002.safetensors"
    file.resolve().write_bytes(files[file.name][:-5])
    assert missing_of(known, folder) == (file.name,)
    assert fetched(known) == ""
    assert "not whole" in "\n".join(bases.observers.lines(row(known, "")))


def test_they_are_listed_with_terms_size_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("LORASMITH_TAGGER", str(tmp_path))
    assert bases.main([]) == 0
    said = capsys.readouterr().out
    assert "captioner: Qwen3-VL-4B-Instruct" in said
    assert "faces: YuNet 2023mar, finds faces, so that no crop cuts one" in said
    assert "MIT License" in said
    assert "no: lorasmith fetch faces" in said
    assert f"here     {tmp_path}" in said
    assert bases.main(["--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry.get("base") for entry in listed[: len(BASES)]] == list(BASES)
    assert {entry["observer"]: entry["here"] for entry in listed[len(BASES) :]} == {
        "captioner": False,
        "tagger": True,
        "faces": False,
        "judge": False,
        "likeness": False,
        "identity": False,
    }


def test_who_needs_one_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LorasmithError, match=r"finds faces.*Fetch it with: lorasmith fetch faces"):
        require(OBSERVERS["faces"], "")
    (tmp_path / "a.onnx").touch()
    require(OBSERVERS["faces"], str(tmp_path / "a.onnx"))
    monkeypatch.setattr("trainer.observers.importlib.util.find_spec", lambda _: None)
    with pytest.raises(LorasmithError, match=r"Install lorasmith\[tags\]"):
        require(OBSERVERS["faces"], str(tmp_path / "a.onnx"))


def test_a_recipe_of_faces_alone_is_refused_without_a_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    words = [str(tmp_path), "--subject", "person", "--recipe", "person-face"]
    assert plans.main(words) == 1
    assert "lorasmith fetch faces" in capsys.readouterr().err
    assert alone.main([*words, "--out", str(tmp_path / "out")]) == 1
    assert "lorasmith fetch faces" in capsys.readouterr().err
    assert not (tmp_path / "out").exists(), "nothing was begun"


def test_all_eyes_of_the_judge_come_by_one_command_and_go_to_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    asked: list[str] = []

    def brought(known: Observer) -> Path:
        asked.append(known.name)
        folder = located_at(known, tmp_path / "hub")
        for file in known.needed:
            (folder / file).write_bytes(content(file, folder / file))
        return folder

    monkeypatch.setattr(fetch, "fetch", brought)
    assert fetch.main(["eyes"]) == 0
    assert asked == [*EYES]
    assert WorkerSettings().eyes == {name: fetched(OBSERVERS[name]) for name in EYES}
    assert Path(WorkerSettings().eyes["identity"]).is_file()
    assert WorkerSettings(likeness="none", judge="/own").eyes.keys() == {"judge", "faces", "identity"}
    assert "MIT License: free to use" in capsys.readouterr().err


def located_at(known: Observer, hub: Path) -> Path:
    folder = hub / f"models--{known.hub.replace('/', '--')}" / "snapshots" / known.revision
    folder.mkdir(parents=True)
    return folder


def test_eyes_are_named_alike_wherever_they_are_named() -> None:
    assert set(get_args(EyeName)) == set(EYES)
    assert {*EYES, *BEFORE} == set(OBSERVERS)
