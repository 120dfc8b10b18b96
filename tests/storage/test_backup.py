"""Backup and restore: what is refused, and that what was deleted is not in the next one."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage import console
from storage.backup import NotABackup, back_up, restore
from storage.database import Database
from storage.domain.errors import NewerDatabase, SetupError
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
@pytest.mark.parametrize("name", ["../../out", "/etc/out", "artifacts/../out", "artifacts/.hidden", "other"])
def test_a_name_that_leads_elsewhere_is_refused(backed: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        info = tarfile.TarInfo(name)
        info.size = 3
        archive.addfile(info, io.BytesIO(b"out"))
    with pytest.raises(NotABackup):
        restore(StorageSettings(data_dir=tmp_path / "fresh"), tmp_path / "evil.tar")
    assert list(tmp_path.rglob("out")) == []


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
