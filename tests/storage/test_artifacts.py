"""Artifacts in a folder, and what of S3 needs no server: links."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.artifacts import Artifacts, Missing, TooLarge, checked
from storage.settings import StorageSettings


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(StorageSettings(data_dir=tmp_path))


async def test_bytes_and_files_come_back_as_they_were(artifacts: Artifacts, tmp_path: Path) -> None:
    await artifacts.put("orders/a1/pictures/0.jpg", b"picture")
    source = tmp_path / "lora.safetensors"
    source.write_bytes(os.urandom(12 << 20))
    await artifacts.put("orders/a1/checkpoints/50/lora.safetensors", source)
    assert await artifacts.read("orders/a1/pictures/0.jpg", 100) == b"picture"
    copy = await artifacts.fetch("orders/a1/checkpoints/50/lora.safetensors", tmp_path / "deep" / "copy")
    assert copy.read_bytes() == source.read_bytes()
    assert await artifacts.list("orders/a1") == [
        "orders/a1/checkpoints/50/lora.safetensors",
        "orders/a1/pictures/0.jpg",
    ]
    assert await artifacts.size("orders/a1") == 7 + (12 << 20)
    assert await artifacts.size("") == 7 + (12 << 20)
    local = artifacts.local_path("orders/a1/pictures/0.jpg")
    assert local is not None
    assert local.read_bytes() == b"picture"


async def test_putting_again_replaces(artifacts: Artifacts) -> None:
    await artifacts.put("a", b"1")
    await artifacts.put("a", b"22")
    assert await artifacts.read("a", 10) == b"22"


async def test_what_is_missing_or_too_large_is_said_so(artifacts: Artifacts, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        await artifacts.read("orders/x", 10)
    with pytest.raises(Missing):
        await artifacts.fetch("orders/x", tmp_path / "x")
    assert not await artifacts.exists("orders/x")
    await artifacts.put("orders/x", b"0" * 11)
    assert await artifacts.exists("orders/x")
    with pytest.raises(TooLarge, match="11 bytes"):
        await artifacts.read("orders/x", 10)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a b", "a\n", "x" * 301, "a/b#1"],
)
async def test_only_plain_names_are_keys(artifacts: Artifacts, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        checked(key)
    with pytest.raises(ValueError, match="key"):
        await artifacts.put(key, b"x")
    with pytest.raises(ValueError, match="key"):
        artifacts.local_path(key)


async def test_deleting_takes_one_or_a_whole_folder_and_not_its_neighbours(artifacts: Artifacts) -> None:
    for key in ("orders/a/pictures/1.jpg", "orders/a/state/9/s", "orders/ab/pictures/1.jpg"):
        await artifacts.put(key, b"x")
    assert await artifacts.delete("orders/a/pictures/1.jpg") == 1
    assert await artifacts.delete("orders/a") == 1
    assert await artifacts.delete("orders/a") == 0
    assert await artifacts.list("orders") == ["orders/ab/pictures/1.jpg"]
    assert artifacts.folder is not None
    assert [p.name for p in (artifacts.folder / "orders").iterdir()] == ["ab"]


async def test_a_failed_fetch_leaves_the_old_file_and_no_scraps(artifacts: Artifacts, tmp_path: Path) -> None:
    target = tmp_path / "to" / "file"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(Missing):
        await artifacts.fetch("gone", target)
    await artifacts.put("new", b"new")
    await artifacts.fetch("new", target)
    assert target.read_bytes() == b"new"
    assert [p.name for p in target.parent.iterdir()] == ["file"]


PUT_AND_DIE = """
import asyncio, os, signal, sys, threading, time
from pathlib import Path
from storage.artifacts import Artifacts
from storage.settings import StorageSettings
data = Path(sys.argv[1])
store = Artifacts(StorageSettings(data_dir=data))
def die():
    while not [p for p in (data / "artifacts").rglob("*") if p.is_file()]:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=die, daemon=True).start()
asyncio.run(store.put("big", data / "source"))
time.sleep(5)
"""


async def test_a_writer_that_is_killed_leaves_nothing_that_is_listed_and_the_sweep_takes_its_scraps(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"0" * (200 << 20))
    done = subprocess.run([sys.executable, "-c", PUT_AND_DIE, str(tmp_path)], check=False)  # noqa: ASYNC221  # nothing else runs here
    assert done.returncode == -9
    assert artifacts.folder is not None
    scraps = [p for p in artifacts.folder.rglob("*") if p.is_file()]
    assert len(scraps) == 1
    assert await artifacts.list("") == []
    assert not await artifacts.exists("big")
    assert artifacts.sweep() == 0, "it may still be written to"
    hours_ago = time.time() - 7200
    os.utime(scraps[0], (hours_ago, hours_ago))
    assert artifacts.sweep() == 1
    assert not scraps[0].exists()


def test_a_folder_has_no_links_and_a_shared_store_signs_them(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert artifacts.url("orders/x", 60) is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    shared = Artifacts(StorageSettings(data_dir=tmp_path, artifacts_url="s3://bucket/lorasmith"))
    url = shared.url("orders/x/lora.safetensors", 90)
    assert url is not None
    assert "/lorasmith/orders/x/lora.safetensors?" in url
    assert "X-Amz-Expires=90" in url
    assert "hidden-secret" not in url
    assert shared.local_path("orders/x") is None
    assert shared.sweep() == 0


def test_other_stores_are_refused_and_a_plain_path_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="s3://"):
        Artifacts(StorageSettings(data_dir=tmp_path, artifacts_url="ftp://host/x"))
    assert (
        Artifacts(StorageSettings(data_dir=tmp_path, artifacts_url=str(tmp_path / "files"))).folder
        == tmp_path / "files"
    )


async def test_what_somebody_else_deletes_meanwhile_is_no_error(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await artifacts.put("a/2", b"x")
    listed = artifacts.list

    async def before_it_went(prefix: str) -> list[str]:
        return ["a/1", *await listed(prefix)]

    monkeypatch.setattr(artifacts, "list", before_it_went)
    await artifacts.delete("a")
    assert await listed("a") == []
