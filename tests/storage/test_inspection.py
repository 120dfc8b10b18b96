"""`lorasmith doctor`: the installation itself, and how both halves' remarks come together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage import inspection, leases
from storage.database import Database
from storage.domain.inspection import Level, Remark, from_json, is_well, note, ok, text, to_json, wrong
from storage.settings import StorageSettings
from storage.tables import Checkpoint
from tests.storage.making import a_plan, draft

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def levels(remarks: list[Remark]) -> dict[str, str]:
    return {r.about: r.level.value for r in remarks}


@SQLITE
async def test_database_and_store_that_do_not_belong_together_are_found(
    settings: StorageSettings, database: Database
) -> None:
    found = levels(await inspection.installation(settings))
    assert (found["database"], found["machines"], found["store"], found["running"]) == ("ok", "ok", "ok", "note")
    with database.session() as session:
        order = draft(session)
        session.add(
            Checkpoint(
                order_id=order.id,
                step=1,
                lora_artifact=f"orders/{order.id}/a.safetensors",
                lora_sha256="0",
                lora_bytes=1,
                grid_artifact="g",
                measurement_json=a_plan().to_json(),
            )
        )
        leases.beat(session, "w", "w", "worker", 60)
        leases.take_bot_lease(session, "b", 60)
    remarks = await inspection.installation(settings)
    assert levels(remarks)["running"] == "ok"
    assert "1 of 1 files that the database names are not in" in next(r.says for r in remarks if r.about == "store")
    assert not (settings.data_dir / "artifacts").exists(), "nothing is changed by looking"
    kept = settings.data_dir / "artifacts" / "orders" / order.id / "a.safetensors"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"1")
    assert levels(await inspection.installation(settings))["store"] == "ok"


@SQLITE
async def test_a_newer_database_one_that_is_not_there_and_one_that_is_none(
    settings: StorageSettings, database: Database, tmp_path: Path
) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    (found,) = [r for r in await inspection.installation(settings) if r.about == "database"]
    assert (found.level, found.says) == (Level.WRONG, "it was written by a newer lorasmith")
    fresh = StorageSettings(data_dir=tmp_path / "nowhere")
    assert "is not there yet" in (await inspection.installation(fresh))[-1].says
    assert not (tmp_path / "nowhere").exists(), "nothing is changed"
    (tmp_path / "lorasmith.db").write_bytes(b"no database at all" * 100)
    broken = (await inspection.installation(StorageSettings(data_dir=tmp_path)))[-1]
    assert (broken.level, broken.about) == (Level.WRONG, "database")


def test_a_share_of_another_machine_is_no_place_for_sqlite(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nnas:/x {tmp_path} nfs4 rw 0 0\n")
    assert inspection._file_system(tmp_path / "data", mounts) in inspection.AWAY
    assert inspection._file_system(Path("/"), mounts) == "ext4"
    assert inspection._file_system(tmp_path, tmp_path / "absent") == ""


async def test_the_halves_look_in_processes_of_their_own_and_a_broken_one_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LORASMITH_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(inspection.HALVES, "bot", ("json", "storage.no_such_module"))
    monkeypatch.setitem(inspection.HALVES, "trainer", ("no_such_package", "x"))
    found = {r.about: r for r in await inspection.inspected()}
    assert found["trainer"].says == "not looked at: lorasmith[trainer] is not installed here"
    assert found["bot"].level is Level.WRONG
    assert "No module named storage.no_such_module" in found["bot"].says


def test_what_is_wrong_comes_last_with_how_to_mend_it_and_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remarks = [wrong("clock", "off", "Set it."), ok("token", "known"), note("disk", "little", "Free some.")]
    assert text(remarks).splitlines() == [
        "ok    token: known", "note  disk: little", "      -> Free some.", "WRONG clock: off", "      -> Set it.",
    ]  # fmt: skip
    assert from_json(to_json(remarks)) == remarks
    assert not is_well(remarks)

    async def found() -> list[Remark]:
        return remarks

    monkeypatch.setattr(inspection, "inspected", found)
    assert inspection.run(["--json"]) == 2
    assert json.loads(capsys.readouterr().out)[0]["mend"] == "Set it."
    monkeypatch.setattr(inspection, "_for_people", lambda _: "")
    remarks.pop(0)
    assert inspection.run([]) == 0
