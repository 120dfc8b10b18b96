"""Findings in rows, and what the owner makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import Session

from storage import doctor, orders
from storage.artifacts import Artifacts
from storage.database import Database
from storage.domain.doctor import Ailment, Finding, examined, from_json, to_json, worth_dropping
from storage.domain.errors import OrderRefused
from storage.pictures import Kept
from storage.settings import StorageSettings
from storage.tables import Picture
from storage.words_doctor import examined_words, finding_words
from tests.storage.making import draft

SOUND = {"sharpness": 2.0, "lettering": 0.0, "frame": 0.0}


def found(sha: str, **worse: float) -> Kept:
    thumb = "A" * 1024
    return Kept(
        data=sha.encode(), sha256=sha, dhash="0" * 16, thumb=thumb, width=1024, height=1024, symptoms=SOUND | worse
    )


async def test_a_picture_comes_with_its_findings_and_a_near_twin_is_set_aside_with_its_file(
    database: Database, tmp_path: Path
) -> None:
    artifacts = Artifacts(StorageSettings(data_dir=tmp_path))
    order_id = await database.transact(lambda s: draft(s).id)
    rows = await database.transact(orders.pictures_of, order_id)
    for row in rows:
        worse = {"sharpness": 0.6} if row.position == 1 else {}
        await doctor.admit(
            database, artifacts, row, found(f"{row.position}", **worse), twin="0.png" if row.position == 4 else None
        )

    def check(session: Session) -> None:
        assert [p.position for p in orders.kept(session, order_id)] == [0, 1, 2, 3]
        assert [p.position for p in doctor.proposed(session, order_id)] == [1]
        assert [p.position for p in doctor.set_aside(session, order_id)] == [4]
        assert doctor.bring_back(session, order_id, [4, 17])[0].accepted
        assert [p.position for p in doctor.leave_out(session, order_id, [1, 4])] == [1, 4]
        assert [p.position for p in orders.kept(session, order_id)] == [0, 2, 3]
        doctor.bring_back(session, order_id, [1])
        assert doctor.proposed(session, order_id) == []
        orders.locked_order(session, order_id).stage = "queued"
        session.flush()
        with pytest.raises(OrderRefused):
            doctor.leave_out(session, order_id, [0])

    await database.transact(check)
    assert await artifacts.exists(f"orders/{order_id}/pictures/4.jpg")


def test_only_findings_that_spoil_a_lora_propose_to_drop() -> None:
    small = examined(SOUND, width=400, height=500, learned_px=1024)
    assert [f.ailment for f in small] == [Ailment.SMALL]
    assert not worth_dropping(small)
    assert worth_dropping(examined(SOUND | {"frame": 0.2}, width=1024, height=1024, learned_px=1024))
    assert examined(SOUND, width=1024, height=1024, learned_px=1024) == ()


def test_findings_survive_their_row_and_have_words() -> None:
    every = tuple(Finding(ailment=a, measure=0.25) for a in Ailment)
    assert from_json(to_json(every)) == every
    assert all(finding_words(f) and "{" not in finding_words(f) for f in every)
    assert examined_words("a.jpg", every[:2]).startswith("a.jpg looks blurred")
    assert (
        doctor.findings_of(Picture(id="x", order_id="o", position=0, source_url="", source_name="", accepted=True))
        == ()
    )
