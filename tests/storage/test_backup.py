"""Backup and restore: what is refused, and that what was deleted is not in the next one."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage import console
from storage.backup import back_up
from storage.database import Database
from storage.domain.errors import NewerDatabase, SetupError
from storage.restore import NotABackup, restore
from storage.settings import StorageSettings
from tests.storage.making import draft

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def backed(settings: StorageSettings, database: Database, tmp_path: Path) -> Path:
    """A backup of one draft with a picture."""
    with database.session() as session:
        order_id = draft(session).id
    for name in ("pictures/0.jpg", "pictures/1.jpg", "pictures/2.jpg#1"):
        path = tmp_path / "artifacts" / "orders" / order_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
    stranger = tmp_path / "artifacts" / "orders" / "nobodys" / "x.bin"
    stranger.parent.mkdir()
    stranger.write_bytes(b"x")
    back_up(settings, tmp_path / "all.tar")
    return tmp_path / "all.tar"


def members(file: Path) -> list[str]:
    with tarfile.open(file) as archive:
        return [name.rsplit("/", 1)[-1] for name in archive.getnames()]


@SQLITE
def test_what_is_whole_is_in_it_for_its_owner_alone_and_the_next_one_has_nothing_that_was_deleted(
    settings: StorageSettings, backed: Path
) -> None:
    assert members(backed) == ["lorasmith.db", "0.jpg", "1.jpg", "contents.json"]
    assert backed.stat().st_mode & 0o077 == 0
    next(settings.data_dir.rglob("0.jpg")).unlink()
    back_up(settings, backed)
    assert members(backed) == ["lorasmith.db", "1.jpg", "contents.json"]
    assert [p.name for p in settings.data_dir.iterdir() if "part" in p.name or ".backup" in p.name] == []


@SQLITE
def test_nothing_is_overwritten_and_a_damaged_file_leaves_nothing_behind(
    settings: StorageSettings, backed: Path, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="is there already"):
        restore(settings, backed)
    fresh = StorageSettings(data_dir=tmp_path / "fresh")
    whole = backed.read_bytes()
    at = whole.index(b"pictures/1.jpgpictures")
    for broken in (whole[: len(whole) // 2], whole[:at] + b"X" + whole[at + 1 :], b"", b"no archive" * 100):
        backed.write_bytes(broken)
        with pytest.raises(NotABackup):
            restore(fresh, backed)
        assert list(fresh.data_dir.iterdir()) == []
    backed.write_bytes(whole)
    assert restore(fresh, backed).files == 3
    assert next(fresh.data_dir.rglob("1.jpg")).read_bytes() == b"pictures/1.jpg" * 1000


@SQLITE
def test_a_backup_never_takes_the_place_of_what_it_is_of(
    settings: StorageSettings, backed: Path, tmp_path: Path
) -> None:
    live = tmp_path / "lorasmith.db"
    before = live.read_bytes()
    (tmp_path / "link.db").symlink_to(live)
    own = [live, tmp_path / "link.db", *(tmp_path / f"lorasmith.db{side}" for side in ("-wal", "-shm", "-journal"))]
    for target in (*own, tmp_path / "artifacts" / ".." / "lorasmith.db", tmp_path / "artifacts" / "all.tar", tmp_path):
        with pytest.raises(SetupError, match=f"{target.name} is"):
            back_up(settings, target)
    assert live.read_bytes() == before
    assert not (tmp_path / "artifacts" / "all.tar").exists()


@SQLITE
@pytest.mark.parametrize("side", ["-wal", "-shm", "-journal"])
def test_a_journal_of_an_old_database_is_named_and_not_played_into_the_restored_one(
    backed: Path, tmp_path: Path, side: str
) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / f"lorasmith.db{side}").write_bytes(b"old")
    with pytest.raises(SetupError, match=f"lorasmith.db{side} is there already"):
        restore(StorageSettings(data_dir=fresh), backed)
    assert [p.name for p in fresh.iterdir()] == [f"lorasmith.db{side}"]


@SQLITE
def test_artifacts_on_a_disk_of_their_own_are_unpacked_there(
    backed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / "far"
    far.mkdir()
    mounted, rename, asked = far.stat().st_ino, Path.rename, []

    def on_one_disk(here: Path, to: Path) -> Path:
        if here.is_relative_to(far) != to.is_relative_to(far):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(here, to)

    monkeypatch.setattr(Path, "rename", on_one_disk)
    monkeypatch.setattr("storage.disk.require", asked.append)
    fresh = StorageSettings(data_dir=tmp_path / "fresh", artifacts_url=str(far))
    assert restore(fresh, backed).files == 3
    assert next(far.rglob("1.jpg")).read_bytes() == b"pictures/1.jpg" * 1000
    assert far.stat().st_ino == mounted, "a disk stays where it is mounted"
    assert [p.name for p in far.iterdir()] == ["orders"]
    assert sorted(asked[0].values()) == [backed.stat().st_size], "both folders are on one disk, which needs it once"


@SQLITE
def test_a_disk_that_refuses_is_said_in_a_line_and_nothing_is_left(
    backed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("storage.restore.os.fsync", full)
    fresh = StorageSettings(data_dir=tmp_path / "fresh")
    with pytest.raises(SetupError, match=r"could not be restored: .*No space left"):
        restore(fresh, backed)
    assert list(fresh.data_dir.iterdir()) == []


def altered(whole: Path, to: Path, *more: tuple[tarfile.TarInfo, bytes]) -> Path:
    """The same backup with more in it, and a list that says so."""
    with tarfile.open(whole) as old, tarfile.open(to, "w") as new:
        (listed,) = (json.loads(_of(old, m)) for m in old if m.name == "contents.json")
        for info, data in more:
            info.size = len(data)
            listed[info.name] = [len(data), hashlib.sha256(data).hexdigest()]
            new.addfile(info, io.BytesIO(data))
        for member in old.getmembers()[:-1]:
            new.addfile(member, io.BytesIO(_of(old, member)))
        text = json.dumps(listed).encode()
        end = tarfile.TarInfo("contents.json")
        end.size = len(text)
        new.addfile(end, io.BytesIO(text))
    return to


def _of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


@SQLITE
@pytest.mark.parametrize("name", ["../../out", "/etc/out", "artifacts/../out", "artifacts/.hidden/out", "out"])
def test_a_name_that_leads_elsewhere_is_refused(backed: Path, tmp_path: Path, name: str) -> None:
    evil = altered(backed, tmp_path / "evil.tar", (tarfile.TarInfo(name), b"out"))
    with pytest.raises(NotABackup, match=r"not a key of an artifact|it holds '"):
        restore(StorageSettings(data_dir=tmp_path / "fresh"), evil)
    assert list(tmp_path.rglob("out")) == []
    good = altered(backed, tmp_path / "good.tar", (tarfile.TarInfo("artifacts/orders/out"), b"out"))
    assert restore(StorageSettings(data_dir=tmp_path / "fresh"), good).files == 4


@SQLITE
@pytest.mark.parametrize("names", [("artifacts/a", "artifacts/a/b"), ("artifacts/" + "a" * 280,)])
def test_names_that_no_disk_takes_are_no_backup(backed: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    evil = altered(backed, tmp_path / "evil.tar", *((tarfile.TarInfo(name), b"x") for name in names))
    with pytest.raises(NotABackup, match="no whole backup"):
        restore(StorageSettings(data_dir=tmp_path / "fresh"), evil)


def test_a_small_file_that_announces_much_or_nests_deeply_is_refused(tmp_path: Path) -> None:
    holes, chain, deep = tarfile.TarInfo("artifacts/holes"), tarfile.TarInfo("x"), tarfile.TarInfo("contents.json")
    holes.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(300 << 20)}
    holes.size, chain.type, deep.size = 1, tarfile.XHDTYPE, 200_000
    large = tarfile.TarInfo("artifacts/large")
    large.size = 300 << 20
    files = {
        "'artifacts/holes'": holes.tobuf(tarfile.PAX_FORMAT) + bytes(10_240),
        "'artifacts/large'": large.tobuf() + bytes(10_240),
        "no whole backup": chain.tobuf() * 1000 + bytes(10_240),
        "no whole backup of lorasmith: maximum recursion": deep.tobuf() + b"[" * 200_000 + bytes(10_240),
    }
    for said, data in files.items():
        (tmp_path / "evil.tar").write_bytes(data)
        with pytest.raises(NotABackup, match=said):
            restore(StorageSettings(data_dir=tmp_path / "fresh"), tmp_path / "evil.tar")
        assert list((tmp_path / "fresh").iterdir()) == []


@SQLITE
def test_a_newer_programs_backup_is_refused_clearly(
    settings: StorageSettings, database: Database, tmp_path: Path
) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    back_up(settings, tmp_path / "all.tar")
    fresh = StorageSettings(data_dir=tmp_path / "fresh")
    with pytest.raises(NewerDatabase):
        restore(fresh, tmp_path / "all.tar")
    assert list(fresh.data_dir.iterdir()) == []


def test_postgresql_is_named_with_its_own_tools(tmp_path: Path) -> None:
    there = StorageSettings(data_dir=tmp_path, database_url="postgresql://db/lorasmith")
    for act in (back_up, restore):
        with pytest.raises(SetupError, match="pg_dump"):
            act(there, tmp_path / "all.tar")


@SQLITE
def test_the_two_commands_say_what_they_did(
    backed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORASMITH_DATA_DIR", str(tmp_path / "other"))
    assert console.run("restore", [str(backed)]) == 0
    assert "this installation is what" in capsys.readouterr().out
    assert console.run("backup", [str(tmp_path / "again.tar")]) == 0
    assert "3 files, 0.0 GB" in capsys.readouterr().out
    monkeypatch.setenv("LORASMITH_DATA_DIR", str(tmp_path / "nothing"))
    assert console.run("backup", [str(tmp_path / "all.tar")]) == 2
    assert "nothing to back up" in capsys.readouterr().err
