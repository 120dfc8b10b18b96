"""Made-up communities of unequal greed on the real queue: what members press, and workers that only let time pass.

Drafts, Start, quotas, turns, corrections, stages and cancels are the product's own functions, each event in a transaction of its
own on a real SQLite file. Made up are the clock, the seconds that a turn takes, and the engine, which only has to be told.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import update
from sqlmodel import Session

from storage import orders, turns
from storage.database import Database
from storage.domain.errors import OrderRefused
from storage.domain.lifecycle import Stage
from storage.domain.pace import turn_s
from storage.domain.plan import Plan
from storage.pieces import plan_of
from storage.tables import Community, Order, Picture, Piece
from storage.turns import Outcome, Taken
from tests.storage.making import a_plan

SEGMENT_S = 200.0
"""About the seconds of a segment, by which the times of people are set."""
STRETCH = 4.0
"""Turns of this installation take so much longer than a plan lets expect; the queue has to find it out by itself."""
GREED = 0.1
"""So often a member of a greedy community presses for a second order beside the first."""
BASES = frozenset({"pocket"})


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """A community as it behaves."""

    name: str
    weight: float
    members: int
    rests_s: float
    """Mean time from the end of a member's order to the next press; 0 presses at once, again and again."""
    segments: tuple[int, ...]
    """Lengths of its orders in segments, one drawn for each."""
    quiet: bool = False
    """Whether it asks for far less than its share: a small order now and then."""


def unequal(communities: int = 50) -> list[Crowd]:
    """Two fifths greedy without a pause, a fifth in between, two fifths quiet; weights of 0.5, 1 and 2 among all of them."""
    found = []
    for n in range(communities):
        kind = n % 5
        weight = (1.0, 1.0, 2.0, 0.5)[n // 5 % 4]
        if kind < 2:
            crowd = Crowd(
                name=f"c{n:02}", weight=weight, members=4 + 2 * (n % 7), rests_s=0.0, segments=(1, 2, 2, 3, 4)
            )
        elif kind == 2:
            crowd = Crowd(name=f"c{n:02}", weight=weight, members=3, rests_s=60 * SEGMENT_S, segments=(1, 2, 4))
        else:
            rests_s = 5 * communities * SEGMENT_S / weight  # a tenth of its share on three workers
            crowd = Crowd(name=f"c{n:02}", weight=weight, members=1, rests_s=rests_s, segments=(1,), quiet=True)
        found.append(crowd)
    return found


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One turn that was given."""

    at: float
    community: int
    """Its place in the list of crowds."""
    estimate_s: float
    gpu_s: float
    waiting: frozenset[int]
    """The communities with something waiting just before, this one among them."""
    broken: frozenset[int]
    """Those that for a moment since the last pick had nothing waiting."""


@dataclass(kw_only=True)
class Told:
    """Stands for the engine, which only has to be told: every worker asks for its next turn by itself here."""

    turns: int = 0
    stages: int = 0

    def enqueue_stage(self, _: Session, order_id: str, stage: str, attempt: int) -> str:
        self.stages += 1
        return f"{order_id}:{stage}:{attempt}"

    def enqueue_turn(self, _: Session, key: str) -> str:
        self.turns += 1
        return key

    def turns_waiting(self) -> int:
        return 0


@dataclass(kw_only=True)
class _Running:
    taken: Taken
    worker: int
    began: float
    ends: float
    place: int
    """Of its pick in the list of picks."""
    over: bool = False
    """Whether it was given back before its end."""


@dataclass(kw_only=True)
class Day:
    """A run of so many orders. Everything random comes from the seed."""

    database: Database
    crowds: Sequence[Crowd]
    orders: int
    workers: int
    seed: int = 1
    cancels: float = 0.06
    """Of all orders, so many are stopped by their owner in the middle of a turn or of waiting."""
    early: float = 0.15
    """And so many end before their last segment."""
    picks: list[Pick] = field(default_factory=list)
    starts: list[tuple[int, float, float, int]] = field(default_factory=list)
    """For every order: community, when it was started, when its first turn began, turns given to others in between."""
    ended: dict[str, int] = field(default_factory=dict)
    """Orders by how they ended."""
    refused: int = 0
    """Starts that the quota of a member refused."""
    tell: Callable[[Day], None] | None = None
    """Called after every thousand orders that ended, for who waits."""

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._engine = Told()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = itertools.count()
        self._made = 0
        self._idle = list(range(self.workers))
        self._waits = [0] * len(self.crowds)
        self._broken: set[int] = set(range(len(self.crowds)))
        self._running: dict[str, _Running] = {}
        self._fresh: dict[str, tuple[float, int]] = {}
        self._where: dict[str, tuple[int, int]] = {}
        self._length: dict[str, int] = {}

    def run(self) -> None:
        """Until every order has ended."""
        with self.database.session() as session:
            for crowd in self.crowds:
                session.add(Community(id=crowd.name, weight=crowd.weight))
        for n, crowd in enumerate(self.crowds):
            for member in range(crowd.members):
                self._at(self._rest(crowd) if crowd.rests_s else 0.0, self._pressing(n, member))
        while self._events:
            at, _, act = heapq.heappop(self._events)
            act(at)
            while self._idle and self._give(at):
                pass

    def _at(self, at: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._count), act))

    def _rest(self, crowd: Crowd) -> float:
        return self._chance.expovariate(1 / crowd.rests_s) if crowd.rests_s else 1.0

    def _pressing(self, community: int, member: int) -> Callable[[float], None]:
        return lambda at: self._press(at, community, member)

    def _press(self, at: float, community: int, member: int) -> None:
        """A member opens a draft and starts it, as long as orders are left to be made. The greedy now and then try two."""
        crowd = self.crowds[community]
        for _ in range(2 if self._chance.random() < GREED and not crowd.rests_s else 1):
            if self._made >= self.orders:
                return
            number, length = self._made, self._chance.choice(crowd.segments)
            try:
                with self.database.session() as session:
                    order = self._draft(session, str(number), crowd.name, f"{crowd.name}m{member}")
                    orders.start(session, self._engine, order.id, _plan(length))
            except OrderRefused:
                self.refused += 1
                return
            self._made += 1
            self._where[order.id] = (community, member)
            early = length > 1 and self._chance.random() < self.early
            self._length[order.id] = self._chance.randrange(1, length) if early else length
            self._fresh[order.id] = (at, len(self.picks))
            self._wait(community)
            if self._chance.random() < self.cancels:
                self._at(
                    at + self._chance.uniform(0, 6 * length * SEGMENT_S), lambda t, id_=order.id: self._cancel(t, id_)
                )

    def _draft(self, session: Session, interaction: str, community: str, owner: str) -> Order:
        links = [(f"https://cdn/{n}.png", f"{n}.png", 1000) for n in range(4)]
        order = orders.open_draft(
            session, interaction_id=interaction, token="-", community_id=community, owner_id=owner, channel_id="c",
            name="toy", subject_type="object", class_word="toy", base="pocket", links=links,
        )  # fmt: skip
        session.execute(update(Picture).where(Picture.order_id == order.id).values(state="kept"))  # type: ignore[arg-type]  # SQLModel's columns
        return order

    def _wait(self, community: int) -> None:
        self._waits[community] += 1

    def _no_more(self, community: int) -> None:
        self._waits[community] -= 1
        if not self._waits[community]:
            self._broken.add(community)

    def _give(self, at: float) -> bool:
        """One turn to the first idle worker; whether there was one to give."""
        worker = self._idle[0]
        with self.database.session() as session:
            taken = turns.pick(session, self._engine, f"w{worker}", BASES, f"k{len(self.picks)}")
            if taken is None:
                return False
            estimate_s, expected_s = _estimates(session, taken)
        community = self._where[taken.order_id][0]
        gpu_s = expected_s * self._chance.lognormvariate(0, 0.25)
        waiting = frozenset(n for n, count in enumerate(self._waits) if count)
        pick = Pick(
            at=at, community=community, estimate_s=estimate_s, gpu_s=gpu_s,
            waiting=waiting, broken=frozenset(self._broken),
        )  # fmt: skip
        self._idle.pop(0)
        self._broken.clear()
        self._note_start(at, taken, community)
        self.picks.append(pick)
        self._no_more(community)
        run = _Running(taken=taken, worker=worker, began=at, ends=at + gpu_s, place=len(self.picks) - 1)
        self._running[taken.order_id] = run
        self._at(run.ends, lambda t: self._boundary(t, run))
        return True

    def _note_start(self, at: float, taken: Taken, community: int) -> None:
        if taken.order_id in self._fresh:
            since, before = self._fresh.pop(taken.order_id)
            self.starts.append((community, since, at, len(self.picks) - before))

    def _boundary(self, at: float, run: _Running) -> None:
        if run.over:
            return
        done = run.taken.kind == "sweep" or run.taken.step + 1 >= self._length[run.taken.order_id]
        self._give_back(at, run, "done" if done else "more")
        if not done:
            self._wait(self._where[run.taken.order_id][0])
        elif run.taken.kind == "train":
            self._at(at + self._chance.uniform(0, 20 * SEGMENT_S), lambda t: self._sweep(t, run.taken.order_id))
        else:
            self._end(at, run.taken.order_id, "delivered")

    def _give_back(self, at: float, run: _Running, outcome: Outcome) -> None:
        run.over = True
        gpu_s = at - run.began
        self.picks[run.place] = replace(self.picks[run.place], gpu_s=gpu_s)
        with self.database.session() as session:
            step = run.taken.step + (outcome != "cancelled")
            assert turns.give_back(session, self._engine, run.taken, gpu_s=gpu_s, step=step, outcome=outcome)
            if outcome == "done":
                stage = Stage.VOTING if run.taken.kind == "train" else Stage.DELIVERING
                orders.move(session, self._engine, run.taken.order_id, stage)
        del self._running[run.taken.order_id]
        self._idle.append(run.worker)

    def _sweep(self, _: float, order_id: str) -> None:
        """The ballot has closed: the sweep waits as any other piece of work does."""
        with self.database.session() as session:
            if session.get_one(Order, order_id).stage != Stage.VOTING.value:
                return
            orders.move(session, self._engine, order_id, Stage.SCALING)
        self._wait(self._where[order_id][0])

    def _cancel(self, at: float, order_id: str) -> None:
        """The owner stops it, wherever it is; a running turn ends at once and is charged what it took."""
        with self.database.session() as session:
            stage = session.get_one(Order, order_id).stage
            if stage in (Stage.DELIVERED.value, Stage.DELIVERING.value, Stage.CANCELLED.value):
                return
            orders.cancel(session, self._engine, order_id)
        if (run := self._running.get(order_id)) is not None:
            self._give_back(at, run, "cancelled")
        elif stage != Stage.VOTING.value:
            self._fresh.pop(order_id, None)
            self._no_more(self._where[order_id][0])
        self._end(at, order_id, "cancelled")

    def _end(self, at: float, order_id: str, how: str) -> None:
        if how == "delivered":
            with self.database.session() as session:
                orders.move(session, self._engine, order_id, Stage.DELIVERED)
        self.ended[how] = self.ended.get(how, 0) + 1
        if self.tell and sum(self.ended.values()) % 1000 == 0:
            self.tell(self)
        community, member = self._where[order_id]
        self._at(at + self._rest(self.crowds[community]), self._pressing(community, member))


def _estimates(session: Session, taken: Taken) -> tuple[float, float]:
    """What was charged in advance, and the mean of what such turns really take: longer than the plan alone lets expect."""
    expected_s = turn_s(plan_of(session, taken.order_id), taken.kind) * STRETCH
    return session.get_one(Piece, taken.piece_id).charged_s, expected_s


def _plan(segments: int) -> Plan:
    return replace(_PLAN, steps=100 * segments, checkpoint_steps=tuple(100 * n for n in range(1, segments + 1)))


_PLAN = a_plan()
