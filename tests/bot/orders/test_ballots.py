"""Votes and ballots: counted from the messages, people only, closed once, never closed on votes that could not be read."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from bot import ballots, clock, order
from bot.loopback.reacting import react
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Flag
from storage.tables import Ballot, Order, Outcome, Post, Vote, now

Bench = Any
STEPS = (2, 4, 6, 8, 10)


async def voting(bench: Bench, owner: str = "Ada", **bot: Any) -> tuple[Any, str]:
    """A bot and an order whose ballot is open and whose sheet is seeded."""
    running = await bench.bot(**bot)
    order_id = await bench.order(owner=owner)
    await bench.trained(order_id)
    await bench.vote(running, order_id)
    await sheet_of(bench, order_id, whole=True)
    return running, order_id


async def sheet_of(bench: Bench, order_id: str, *, whole: bool = False) -> Any:
    async def there() -> Any:
        found = await bench.said(order_id, f"{order_id}-sheet")
        return found if len(found.reactions) == 5 or not whole else None

    return await bench.until(there)


async def counted(bench: Bench, order_id: str, **wanted: int) -> None:
    async def there() -> bool:
        votes = await bench.votes(order_id)
        return all(votes[int(k[1:])] == v for k, v in wanted.items())

    await bench.until(there)


async def vote(bench: Bench, name: str, message: Any, emoji: str = "👍") -> None:
    await (await bench.member(name)).react(message, emoji)


async def close(bench: Bench, order_id: str) -> Order:
    await bench.due(order_id)
    found: Order = await bench.stage(order_id, Stage.SCALING)
    return found


async def test_the_ballot_opens_with_a_sheet_numbers_to_react_with_and_a_finish_button(bench: Bench) -> None:
    _, order_id = await voting(bench)
    sheet = await sheet_of(bench, order_id)
    assert [f.filename for f in sheet.files] == [f"{order_id}-sheet.png"]
    assert list(sheet.reactions) == ["1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣"]
    assert sheet.button("Finish")["custom_id"] == f"finish:{order_id}"
    ballot = await bench.get(Ballot, order_id)
    assert (ballot.deadline_at - ballot.opened_at).total_seconds() == pytest.approx(12 * 3600, abs=1)


async def test_votes_win_against_the_measured_best_and_the_choice_says_so_whatever_becomes_of_learning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[str] = []

    def refit(session: Session) -> None:
        learned.extend(session.exec(select(Outcome.order_id)))
        raise ValueError("an outcome of another version")

    monkeypatch.setattr(clock.outcomes, "refit", refit)
    _, order_id = await voting(bench)
    for name in ("Bruno", "Chidi"):
        await vote(bench, name, await bench.grid(order_id, 4))
    await vote(bench, "Dalia", await bench.grid(order_id, 8))
    await counted(bench, order_id, s4=2, s8=1)
    done = await close(bench, order_id)
    assert (done.chosen_step, done.chosen_because) == (4, "votes")
    said = await bench.said(order_id, "the vote is closed")
    assert "2 people voted for it, 1 for the next one" in said.content
    assert "By measurement alone it would have been step 8, which counts as 1 vote; votes decide." in said.content
    assert said.button("Take the file")["custom_id"] == f"take:{order_id}:4"
    outcome = await bench.get(Outcome, order_id)
    assert json.loads(outcome.votes_json) == {"2": 0, "4": 2, "6": 0, "8": 1, "10": 0}
    assert (outcome.steps, outcome.chosen_because, outcome.recipe) == (10, "votes", "house-1/pocket/character")
    assert learned == [order_id]


async def test_one_person_counts_once_per_checkpoint_over_grid_and_sheet_together(bench: Bench) -> None:
    _, order_id = await voting(bench)
    await vote(bench, "Bruno", await bench.grid(order_id, 6))
    await vote(bench, "Bruno", await sheet_of(bench, order_id), "3️⃣")
    await vote(bench, "Chidi", await sheet_of(bench, order_id), "3️⃣")
    await vote(bench, "Bruno", await bench.grid(order_id, 2), "👍")
    await counted(bench, order_id, s6=2, s2=1)


async def test_other_emoji_do_not_count_and_skin_tones_do(bench: Bench) -> None:
    _, order_id = await voting(bench)
    await vote(bench, "Bruno", await bench.grid(order_id, 2), "🎉")
    await vote(bench, "Chidi", await bench.grid(order_id, 4), "👍🏽")
    await counted(bench, order_id, s4=1, s2=0)


async def test_a_vote_taken_back_counts_as_taken_back(bench: Bench) -> None:
    _, order_id = await voting(bench)
    grid = await bench.grid(order_id, 4)
    await vote(bench, "Bruno", grid)
    await counted(bench, order_id, s4=1)
    await (await bench.member("Bruno")).unreact(grid, "👍")
    await counted(bench, order_id, s4=0)
    await vote(bench, "Chidi", await bench.grid(order_id, 2))
    assert (await close(bench, order_id)).chosen_step == 2


async def test_the_bot_itself_and_other_bots_do_not_vote(bench: Bench) -> None:
    _, order_id = await voting(bench)
    grid = await bench.grid(order_id, 4)
    other = bench.server.world.users[bench.server.user_id("Chidi")]
    other.bot = True
    said = bench.server.world.message(grid.channel_id, grid.id)
    react(bench.server.service, said, other.id, "👍")
    await vote(bench, "Bruno", await bench.grid(order_id, 2))
    await counted(bench, order_id, s2=1)
    assert (await bench.votes(order_id))[4] == 0


async def test_votes_cast_while_the_bot_was_down_count(bench: Bench) -> None:
    running, order_id = await voting(bench)
    grid = await bench.grid(order_id, 4)
    await running.kill()
    await vote(bench, "Bruno", grid)
    await bench.bot()
    await counted(bench, order_id, s4=1)
    assert (await close(bench, order_id)).chosen_because == "votes"


async def test_a_count_that_fails_postpones_closing_and_never_means_that_nobody_voted(bench: Bench) -> None:
    _, order_id = await voting(bench)
    await vote(bench, "Bruno", await bench.grid(order_id, 4))
    await counted(bench, order_id, s4=1)
    route = "GET /channels/{channel_id}/messages/{message_id}"
    await bench.director.direct("fault", route=route, status=503, times=10_000)
    await vote(bench, "Chidi", await bench.grid(order_id, 4))
    await bench.due(order_id)
    await asyncio.sleep(0.8)
    assert (await bench.row(order_id)).stage == "voting"
    assert (await bench.votes(order_id))[4] == 1, "what was counted before stays"
    await bench.director.direct("clear_faults")
    await bench.stage(order_id, Stage.SCALING)
    assert (await bench.votes(order_id))[4] == 2


async def test_a_tie_goes_to_the_better_measured_and_silence_to_the_measured_best(bench: Bench) -> None:
    _, order_id = await voting(bench)
    await vote(bench, "Bruno", await bench.grid(order_id, 2))
    await vote(bench, "Chidi", await bench.grid(order_id, 6))
    await counted(bench, order_id, s2=1, s6=1)
    tie = await close(bench, order_id)
    assert (tie.chosen_step, tie.chosen_because) == (6, "tie_broken_by_measurement")
    silent = await bench.order(owner="Bruno")
    await bench.trained(silent)
    await bench.vote(None, silent)
    await bench.database.transact(ballots.open_ballot, silent, 0.01)
    done = await bench.stage(silent, Stage.SCALING)
    assert (done.chosen_step, done.chosen_because) == (8, "measurement")


async def test_a_broken_checkpoint_cannot_win_and_nothing_but_broken_ones_fails_the_order(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    for step in STEPS:
        await bench.checkpoint(order_id, step, flags=(Flag.BLACK,))
    await bench.vote(running, order_id)
    await bench.due(order_id)
    failed = await bench.stage(order_id, Stage.FAILED)
    assert failed.fault == "program"


async def test_the_owner_alone_can_finish_the_vote_early(bench: Bench) -> None:
    _, order_id = await voting(bench)
    sheet = await sheet_of(bench, order_id)
    await vote(bench, "Dalia", await bench.grid(order_id, 4))
    stranger, owner = await bench.member("Bruno"), await bench.member("Ada")
    said = await stranger.reply_of(await stranger.click(sheet, f"finish:{order_id}"))
    assert said.ephemeral
    await bench.until(lambda: _text(stranger, said, "Only the person who made this order"))
    assert (await bench.row(order_id)).stage == "voting"
    await owner.click(sheet, f"finish:{order_id}")
    done = await bench.stage(order_id, Stage.SCALING)
    assert done.chosen_step == 4


async def _text(member: Any, message: Any, words: str) -> bool:
    return words in (await member.message(message.channel_id, message.id)).text()


async def test_a_deleted_grid_keeps_the_votes_last_seen_on_it(bench: Bench) -> None:
    _, order_id = await voting(bench)
    grid = await bench.grid(order_id, 4)
    await vote(bench, "Bruno", grid)
    await counted(bench, order_id, s4=1)
    await (await bench.member("Mira")).delete(grid)
    await vote(bench, "Chidi", await sheet_of(bench, order_id), "2️⃣")
    await counted(bench, order_id, s4=2)


async def test_closing_twice_is_closing_once(bench: Bench) -> None:
    _, order_id = await voting(bench)
    await bench.database.transact(_hold_open, order_id)
    first = await bench.database.transact(ballots.close, bench.engine, order_id)
    assert first is not None
    assert await bench.database.transact(ballots.close, bench.engine, order_id) is None
    assert (await bench.row(order_id)).attempt == 4, "queued, training, voting, scaling"


def _hold_open(session: Session, order_id: str) -> None:
    assert session.get_one(Ballot, order_id).closed_at is None


async def test_two_hundred_people_are_all_counted(bench: Bench) -> None:
    _, order_id = await voting(bench)
    grid = await bench.grid(order_id, 4)
    said = bench.server.world.message(grid.channel_id, grid.id)
    template = bench.server.world.users[bench.server.user_id("Chidi")]
    for k in range(230):
        user = type(template)(id=10_000 + k, name=f"u{k}", display_name=f"U{k}")
        bench.server.world.users[user.id] = user
        said.reactions[0].user_ids.append(user.id)
    await vote(bench, "Bruno", grid)
    await counted(bench, order_id, s4=231)


async def test_an_upgrade_with_one_more_step_in_voting_continues_an_open_ballot(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, order_id = await voting(bench)
    await vote(bench, "Bruno", await bench.grid(order_id, 4))
    await counted(bench, order_id, s4=1)
    await first.kill()
    done: list[str] = []
    old = ballots.open_ballot

    def newer(session: Session, order_id: str, seconds: float) -> Ballot | None:
        done.append(order_id)
        return old(session, order_id, seconds)

    monkeypatch.setattr(order.ballots, "open_ballot", newer)
    second = await bench.bot()
    row = await bench.row(order_id)
    await second.story.on_stage(order_id, "voting", row.attempt)  # as the engine recovers it
    assert done == [order_id]
    finished = await close(bench, order_id)
    assert (finished.chosen_step, finished.chosen_because) == (4, "votes")
    assert len(await bench.database.transact(_all_votes, order_id)) == 1


def _all_votes(session: Session, order_id: str) -> list[Vote]:
    return list(session.exec(select(Vote).where(Vote.order_id == order_id)))


async def test_a_kill_while_the_ballot_closes_loses_no_vote_and_closes_it_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, order_id = await voting(bench)
    await vote(bench, "Bruno", await bench.grid(order_id, 4))
    await counted(bench, order_id, s4=1)
    died: list[str] = []

    def die(name: str) -> None:
        died.append(name)
        if len(died) == 1:
            raise ConnectionError("killed here")

    monkeypatch.setattr(ballots, "gap", die)
    done = await close(bench, order_id)
    assert died == ["ballot-close", "ballot-close"], "the first close was rolled back whole"
    assert (done.chosen_step, done.attempt) == (4, 4)
    await bench.said(order_id, "the vote is closed")
    assert sum("the vote is closed, **" in m.content for m in await bench.messages(order_id)) == 1


async def test_a_ballot_waits_until_people_could_see_what_they_vote_on(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.said(order_id, "-status")
    lora = str(bench.server.channel_id("lora"))
    await bench.director.direct("overwrite", channel_id=lora, deny=["SEND_MESSAGES_IN_THREADS"])
    await bench.trained(order_id)
    await bench.vote(running, order_id)
    await bench.until(lambda: order_id in running.story.announcer.blocked)
    await bench.due(order_id)
    await asyncio.sleep(0.8)
    assert (await bench.row(order_id)).stage == Stage.VOTING
    await bench.director.direct("overwrite", channel_id=lora, allow=["SEND_MESSAGES_IN_THREADS"])
    running.story.announcer._not_before.clear()
    await bench.stage(order_id, Stage.SCALING)
    await bench.said(order_id, f"{order_id}-sheet")


async def test_votes_on_a_grid_that_was_posted_but_not_written_down_count_at_closing(bench: Bench) -> None:
    running, order_id = await voting(bench)
    await vote(bench, "Bruno", await bench.grid(order_id, 2))
    await counted(bench, order_id, s2=1)
    running.story.announcer._look = asyncio.Event().wait  # it shows nothing any more
    await bench.database.transact(_forget_posts, order_id)
    await bench.due(order_id)
    assert (await bench.stage(order_id, Stage.SCALING)).chosen_step == 2


def _forget_posts(session: Session, order_id: str) -> None:
    for vote_ in session.exec(select(Vote)):
        session.delete(vote_)
    for post in session.exec(select(Post).where(Post.order_id == order_id)):
        session.delete(post)


@pytest.mark.parametrize(
    ("hours", "left", "wanted"), [(0.1, 12.0, 12.0), (5.0, 12.0, 17.0), (20.0, 12.0, 32.0), (5.0, 6.0, 6.0)]
)
async def test_the_voting_time_counts_from_when_the_sheet_could_be_seen(
    bench: Bench, hours: float, left: float, wanted: float
) -> None:
    order_id = await bench.order()
    opened = now()
    ballot = Ballot(order_id=order_id, opened_at=opened, deadline_at=opened + timedelta(hours=left))
    await bench.database.transact(lambda session: session.add(ballot))
    seen = opened + timedelta(hours=hours)
    await bench.database.transact(ballots.count_from_posting, order_id, seen, 12 * 3600.0)
    ballot = await bench.get(Ballot, order_id)
    assert (ballot.deadline_at - opened) / timedelta(hours=1) == pytest.approx(wanted)


async def test_an_order_that_cannot_be_closed_stops_no_other_and_fails_after_some_tries(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = await bench.order()
    running = await bench.bot()
    await bench.trained(poisoned)
    await bench.vote(running, poisoned)
    await sheet_of(bench, poisoned, whole=True)
    other = await bench.order(owner="Bruno")
    await bench.trained(other)
    await bench.vote(running, other)
    await sheet_of(bench, other, whole=True)
    real = ballots.close

    def close_(session: Session, engine: Any, order_id: str) -> Any:
        if order_id == poisoned:
            raise ValueError("a measurement from another version")
        return real(session, engine, order_id)

    monkeypatch.setattr(ballots, "close", close_)
    await bench.due(poisoned)
    await bench.due(other)
    await bench.stage(other, Stage.SCALING)
    failed = await bench.stage(poisoned, Stage.FAILED)
    assert failed.fault == "program"
