"""`/queue` says what the fair queue will really do, with measured times once there are any."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlmodel import Session

from bot.plan_card import phase_of, read_card
from bot.prospects import line_of, prospect_of
from bot.settings import BotSettings
from bot.wording_plan import text as card_text
from bot.wording_queue import queue_text, status_text
from storage import turns
from storage.database import Database, migrate
from storage.domain import fairness
from storage.domain.orders import SubjectType
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.space import file_bytes
from storage.orders import keep_picture, linked, open_draft, start
from storage.settings import StorageSettings
from storage.tables import Order, Progress

PLAN = plan_for(
    base="pocket",
    subject_type=SubjectType.OBJECT,
    class_word="toy",
    trigger="zorvex",
    seed=7,
    pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(5)],
)

SETTINGS = BotSettings(_env_file=None, token="t" * 30, web_port=0)


class Unheard:
    """An engine whose queue nobody serves."""

    def enqueue_stage(self, session: Session, order_id: str, stage: str, attempt: int) -> str:  # noqa: ARG002  # the engine's signature
        return f"{order_id}:{stage}:{attempt}"

    def enqueue_turn(self, session: Session, key: str) -> str:  # noqa: ARG002  # the engine's signature
        return key

    def turns_waiting(self) -> int:
        return 0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    settings = StorageSettings(_env_file=None, data_dir=tmp_path_factory.mktemp("prospects"))
    migrate(settings)
    made = Database(settings)
    yield made
    made.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A transaction that nobody else sees and that is taken back."""
    with Session(database.engine) as made:
        yield made
        made.rollback()


def draft(session: Session, number: int, community: str) -> Order:
    order = open_draft(
        session,
        interaction_id=str(number),
        token="",
        community_id=community,
        owner_id=f"member-{number}",
        channel_id="1",
        name=f"order {number}",
        subject_type="object",
        class_word="toy",
        base="pocket",
        links=[(f"https://cdn/{n}", f"{n}.png", 1) for n in range(5)],
    )
    for n, picture in enumerate(linked(session, order.id)):
        keep_picture(session, picture.id, sha256=str(n), dhash=f"{n:016x}", width=64, height=64, artifact=f"a/{n}")
    return order


def queue(session: Session, number: int, community: str) -> Order:
    return start(session, Unheard(), draft(session, number, community).id, PLAN)


def test_the_queue_is_listed_in_the_order_of_the_fair_queue(session: Session) -> None:
    many = [queue(session, n, "100") for n in range(4)]
    one = queue(session, 9, "200")
    session.flush()
    listed = [order.id for order, _ in line_of(session).waiting]
    assert listed == [w.piece_id.partition(":")[0] for w in fairness.line(turns.waiting(session))]
    assert set(listed) == {o.id for o in [*many, one]}
    assert listed.index(one.id) == 1  # the other community's order is the second one served
    assert [p.place for _, p in line_of(session).waiting] == [1, 2, 3, 4, 5]


def test_what_a_draft_is_told_is_where_a_start_then_puts_it(session: Session) -> None:
    for n in range(3):
        queue(session, n, "100")
    waiting = draft(session, 9, "200")
    session.flush()
    told = prospect_of(session, waiting, PLAN)
    start(session, Unheard(), waiting.id, PLAN)
    session.flush()
    assert prospect_of(session, waiting, PLAN).place == told.place


def test_times_are_a_guess_until_turns_were_measured(session: Session) -> None:
    first = queue(session, 1, "100")
    session.flush()
    assert not prospect_of(session, first, PLAN).measured
    engine = Unheard()
    taken = turns.pick(session, engine, "worker", {"pocket"}, "turn-1")
    assert taken is not None
    turns.give_back(session, engine, taken, gpu_s=7.0, step=40, outcome="more")
    session.flush()
    ahead = prospect_of(session, first, PLAN)
    assert ahead.measured
    assert ahead.work_s == pytest.approx(7.0 * len(PLAN.checkpoint_steps))
    assert line_of(session).waiting[0][1].work_s == pytest.approx(7.0 * (len(PLAN.checkpoint_steps) - 1))


def test_a_running_order_is_shown_as_running(session: Session) -> None:
    first, second = queue(session, 1, "100"), queue(session, 2, "200")
    session.flush()
    turns.pick(session, Unheard(), "worker", {"pocket"}, "turn-1")
    session.flush()
    line = line_of(session)
    assert len(line.running) == 1
    assert {line.running[0][0].id, line.waiting[0][0].id} == {first.id, second.id}


@pytest.mark.parametrize(
    ("stage", "words"),
    [("caching", "training, looking at the pictures, 6 of 6"), ("training", "training, step 6 of 6")],
)
def test_only_learning_is_counted_in_steps(session: Session, stage: str, words: str) -> None:
    order = queue(session, 1, "100")
    session.flush()
    turns.pick(session, Unheard(), "worker", {"pocket"}, "turn-1")
    session.add(Progress(order_id=order.id, stage=stage, step=6, steps=6))
    session.flush()
    assert queue_text(line_of(session), "100").endswith(words)
    assert words in status_text([(order, session.get(Progress, order.id))], line_of(session))


def said_by_card(session: Session, order_id: str) -> str:
    card = read_card(session, order_id, SETTINGS)
    assert card is not None
    return card_text(card)


def test_a_card_is_shown_again_when_the_training_begins_and_names_no_place_any_more(session: Session) -> None:
    order = queue(session, 1, "100")
    session.flush()
    before = phase_of(order)
    assert "next in line" in said_by_card(session, order.id)
    turns.pick(session, Unheard(), "worker", {"pocket"}, "turn-1")
    session.flush()
    assert phase_of(order) != before
    said = said_by_card(session, order.id)
    assert "it is training now" in said
    assert "in line" not in said
    assert "No machine" not in said


def test_orders_of_other_servers_are_not_named(session: Session) -> None:
    queue(session, 1, "100")
    queue(session, 2, "200")
    session.flush()
    said = queue_text(line_of(session), "100")
    assert "order 1" in said
    assert "order 2" not in said
    assert "another server" in said


def test_a_pocket_file_fits_and_a_full_size_one_does_not() -> None:
    assert file_bytes(PLAN) < 10 * 1024 * 1024
    sdxl = plan_for(
        base="sdxl",
        subject_type=SubjectType.CHARACTER,
        class_word="dog",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(5)],
    )
    assert file_bytes(sdxl) > 100 * 1024 * 1024
