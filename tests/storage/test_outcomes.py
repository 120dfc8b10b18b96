"""Outcomes are kept without names, learned from by any process with the same result, frozen, thawed, reset, and told."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, col, delete, select

from storage import command, outcomes
from storage.database import Database
from storage.domain.ballots import ClosedBallot
from storage.domain.choice import Because, Choice
from storage.domain.learned import learned_from
from storage.domain.measurement import Flag
from storage.domain.taste import Features
from storage.engine import Engine
from storage.settings import StorageSettings
from storage.tables import Checkpoint, Order, Outcome, Revision, now
from tests.storage.domain.test_choice import measured
from tests.storage.making import started
from tests.storage.voters import STEPS

COPY = Features(likeness=0.9, adherence=0.2, variety=0.9, leakage=0.1)
OBEDIENT = Features(likeness=0.3, adherence=0.9, variety=0.9, leakage=0.1)


def closed(session: Session, engine: Engine, count: int = 1, *, first: int = 0, ago_s: float = 0.0) -> list[str]:
    """Orders whose members all took the first checkpoint, which follows words and looks little like the pictures."""
    made = []
    for number in range(first, first + count):
        order = started(session, engine, f"i{number}", owner=f"ann{number}")
        for step in STEPS:
            session.add(_checkpoint(order.id, step, 30 if step == STEPS[0] else 0))
        session.flush()
        choice = Choice(step=STEPS[0], because=Because.VOTES, measured_best=160, votes=30, runner_up_votes=0)
        outcomes.keep(session, order, choice).closed_at = now() - timedelta(seconds=ago_s)
        made.append(order.id)
    session.flush()
    return made


def _checkpoint(order_id: str, step: int, votes: int) -> Checkpoint:
    data = json.loads(measured(0.5, flags=(Flag.NAN,) if step == STEPS[1] else ()).to_json())
    data |= asdict(OBEDIENT if step == STEPS[0] else COPY)
    return Checkpoint(
        order_id=order_id,
        step=step,
        lora_artifact="a",
        lora_sha256="0",
        lora_bytes=1,
        grid_artifact="g",
        measurement_json=json.dumps(data),
        votes=votes,
    )


async def test_an_outcome_keeps_what_learning_needs_and_nothing_that_names_anybody(
    database: Database, client: Engine
) -> None:
    (order_id,) = await database.transact(closed, client)
    with database.session() as session:
        (row,) = session.exec(select(Outcome)).all()
        (ballot,) = outcomes.closed_ballots(session, None)
        order = session.get_one(Order, order_id)
        told = row.model_dump_json(exclude={"order_id"})
    assert (row.steps, row.learning_rate, row.batch_size, row.pictures) == (160, 5e-4, 8, 5)
    assert (row.chosen_step, row.chosen_because) == (40, "votes")
    assert [c.step for c in ballot.checkpoints] == [40, 96, 128, 160], "the broken one is not there"
    assert ballot.checkpoints[0].features == OBEDIENT
    for secret in (order.name, order.owner_id, order.trigger, order.class_word, order.channel_id):
        assert f'"{secret}"' not in told
    assert not {"community_id", "owner_id", "name", "trigger"} & row.model_dump().keys()


async def test_an_outcome_says_which_checkpoint_an_early_end_left_out(database: Database, client: Engine) -> None:
    def left_out(session: Session) -> tuple[int | None, int | None, int | None]:
        (order_id,) = closed(session, client)
        row = session.get_one(Outcome, order_id)
        whole = row.next_step
        for step in STEPS[-2:]:
            session.delete(session.get_one(Checkpoint, (order_id, step)))
        session.flush()
        choice = Choice(step=STEPS[0], because=Because.VOTES, measured_best=None, votes=30, runner_up_votes=0)
        early = outcomes.keep(session, session.get_one(Order, order_id), choice)
        return whole, early.next_step, outcomes.closed_ballot(early).next_step

    assert await database.transact(left_out) == (None, STEPS[-2], STEPS[-2])


async def test_what_is_learned_is_derived_so_that_nobody_can_learn_twice_and_nothing_is_lost(
    database: Database, client: Engine
) -> None:
    assert await database.transact(outcomes.refit) is None, "nothing to learn from"
    ids = await database.transact(closed, client, 5)
    made = await asyncio.gather(*(database.transact(outcomes.refit) for _ in range(4)))
    (first,) = (row for row in made if row is not None)
    with database.session() as session:
        used = outcomes.known(session)
        assert used.values == learned_from(outcomes.closed_ballots(session, None))
        lesson = used.lesson("pocket", "object")
    assert lesson is not None
    assert (lesson.number, lesson.dose.steps < 1) == (1, True)
    assert lesson.taste is not None
    assert 0.5 < lesson.taste.likeness < 0.6
    await database.transact(lambda session: session.exec(delete(Revision)))
    again = await database.transact(outcomes.refit)
    assert again is not None, "after it was lost"
    assert first.values_json == again.values_json
    await database.transact(lambda session: session.exec(delete(Outcome).where(col(Outcome.order_id).in_(ids))))
    row = await database.transact(outcomes.refit, "again")
    assert row is not None, "orders that are forgotten teach no more"
    assert json.loads(row.values_json) == {"tastes": {}, "doses": {}}


async def test_frozen_means_used_as_it_is_and_thawed_learns_what_was_missed(database: Database, client: Engine) -> None:
    await database.transact(closed, client, 4)
    await database.transact(outcomes.refit)
    await database.transact(outcomes.freeze)
    await database.transact(closed, client, 5, first=50)
    assert await database.transact(outcomes.refit) is None
    with database.session() as session:
        assert (outcomes.is_frozen(session), outcomes.known(session).number) == (True, 1)
    row = await database.transact(outcomes.thaw)
    assert row is not None
    assert (row.number, row.outcomes, row.because) == (2, 9, "again")


async def test_reset_forgets_what_was_learned_and_counts_from_then_on(database: Database, client: Engine) -> None:
    await database.transact(closed, client, 4, ago_s=60)
    await database.transact(outcomes.refit)
    row = await database.transact(outcomes.reset)
    assert row.since is not None
    assert await database.transact(outcomes.refit) is None
    with database.session() as session:
        assert outcomes.known(session).lesson("pocket", "object") is None
        assert len(session.exec(select(Outcome)).all()) == 4, "the ballots are kept"
    await database.transact(closed, client, 5, first=50)
    again = await database.transact(outcomes.refit)
    assert again is not None
    assert (again.number, again.outcomes, again.since) == (3, 5, row.since)


async def test_the_newest_outcomes_are_learned_from(
    database: Database, client: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LATEST", 2)
    await database.transact(closed, client, 1, ago_s=100)
    ids = await database.transact(closed, client, 2, first=10)
    with database.session() as session:
        found: list[ClosedBallot] = outcomes.closed_ballots(session, None)
        rows = session.exec(select(Outcome).where(col(Outcome.order_id).in_(ids))).all()
        assert found == [outcomes.closed_ballot(row) for row in sorted(rows, key=lambda r: (r.closed_at, r.order_id))]


@pytest.fixture
def house(tmp_path: Path, sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a migrated database, as the command finds it."""
    shutil.copy(sqlite, tmp_path / "lorasmith.db")
    for name in ("LORASMITH_DATABASE_URL", "LORASMITH_ARTIFACTS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LORASMITH_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(["outcomes", *arguments]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80 or arguments
    return out


async def test_the_command_shows_what_was_learned_from_how_much_and_how_it_changed(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Nothing has been learned yet" in said(capsys)
    settings = StorageSettings(data_dir=house)
    database = Database(settings)
    engine = Engine(settings, database, "test")
    for first in (0, 20):
        await database.transact(closed, engine, 5, first=first)
        await database.transact(outcomes.refit)
    shown = said(capsys)
    assert "10 closed ballots count." in shown
    assert "In use: revision 2" in shown
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert "0.60 to 0.5" in rows["object"]
    assert rows["object"].rstrip().endswith(" 10")
    assert rows["pocket"].split()[1:] == ["object", f"{_dose(database):.2f}", "1.00", "10"]
    assert "object: likeness 0.60 to" in shown
    assert "pocket object: steps x 1.00 to x" in " ".join(shown.split())
    told = json.loads(said(capsys, "--json"))
    assert (told["revision"], told["frozen"], told["ballots"]) == (2, False, 10)
    assert [row["ballots"] for row in told["history"]] == [5, 10]
    assert told["tastes"]["object"]["used"]["likeness"] < told["tastes"]["object"]["usual"]["likeness"]
    for line in ("ann0", "blue cat", "zor"):
        assert line not in shown + json.dumps(told)
    assert "Frozen" in said(capsys, "freeze")
    assert "Learning is frozen" in said(capsys)
    assert json.loads(said(capsys, "--json"))["frozen"] is True
    assert "Thawed" in said(capsys, "thaw")
    assert "count" in said(capsys, "reset")
    after = said(capsys)
    assert "0 closed ballots count." in after
    assert "(reset)" in after
    await engine.close()
    database.close()


def _dose(database: Database) -> float:
    with database.session() as session:
        lesson = outcomes.known(session).lesson("pocket", "object")
    assert lesson is not None
    return lesson.dose.steps


def test_the_command_names_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_DATA_DIR", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    assert command.main(["outcomes"]) == 2
    assert command.main(["outcomes", "melt"]) == 2
