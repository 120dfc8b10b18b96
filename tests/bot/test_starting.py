"""Start, consent, permissions, Cancel and Retry: who may press, and what happens where something is missing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlmodel import Session, delete, select

from bot import starting
from bot.answers import Declined
from bot.loopback.member import Member
from storage.domain import recipes
from storage.domain.errors import Fault
from storage.domain.learned import Learned
from storage.domain.lesson import Dose
from storage.domain.lifecycle import Stage
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.taste import Taste
from storage.drafts import add_links
from storage.engine import Engine
from storage.orders import fail
from storage.switches import set_paused
from storage.tables import Checkpoint, Delivery, Order, Piece, PlanRow, Revision, now
from tests.bot.living import House, drafted, house, order_of, photos

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("starting")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ada(home: House) -> AsyncIterator[Member]:
    yield home.people["Ada"]
    await home.clear("Ada")


def _pieces(session: Session, order_id: str) -> list[Piece]:
    return list(session.exec(select(Piece).where(Piece.order_id == order_id)).all())


def _plan(session: Session, order_id: str) -> Plan:
    return Plan.from_json(session.get_one(PlanRow, order_id).plan_json)


async def test_start_queues_the_order_with_its_plan_and_makes_a_thread(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    answer = await ada.click(card, "Start")
    assert answer.answer_kind == 5
    await home.reply(ada, answer, "Started: next in line")
    card = await home.card("Ada", order.id, "started")
    row = await order_of(home, order.id)
    assert row.stage == Stage.QUEUED
    assert row.thread_id == str(card.thread_id)
    assert row.delivery_way == "attach"
    assert (await home.ask(_plan, order.id)).trigger == row.trigger
    assert [p.kind for p in await home.ask(_pieces, order.id)] == ["train"]
    assert set(card.buttons()) == {"Cancel"}


async def test_what_votes_taught_is_in_the_plan_and_on_the_card(home: House, ada: Member) -> None:
    kinds = {("pocket", kind): Dose(steps=0.75) for kind in SubjectType}
    values = Learned(doses=kinds, tastes={kind: Taste(likeness=0.5) for kind in SubjectType})
    row = Revision(number=17, because="ballot", outcomes=60, values_json=values.to_json())
    await home.ask(lambda session: session.add(row))
    try:
        order, card = await drafted(home, "Ada")
        assert "Votes on earlier orders changed this recipe (revision 17" in card.text()
        await home.reply(ada, await ada.click(card, "Start"), "Started: next in line")
        plan = await home.ask(_plan, order.id)
    finally:
        await home.ask(lambda session: session.exec(delete(Revision)))
    assert plan.recipe.startswith("house-1+17/pocket/")
    assert plan.taste.likeness == 0.5


async def test_the_owner_asks_for_the_full_run_and_takes_it_back_before_start(
    home: House, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "STOPS_EARLY", frozenset({"pocket"}))
    order, card = await drafted(home, "Ada")
    assert "Training may end early" in card.text()
    bruno = home.people["Bruno"]
    await home.reply(bruno, await bruno.click(card, "Full run"), "Only the person who made this order")
    await home.reply(ada, await ada.click(card, "Full run"), "Every step of the plan will be trained.")
    asked = await home.card("Ada", order.id, "every step is trained")
    await home.reply(ada, await ada.click(asked, "May end early"), "Training may end early again.")
    again = await home.card("Ada", order.id, "Training may end early")
    await home.reply(ada, await ada.click(again, "Full run"), "Every step")
    await home.reply(ada, await ada.click(again, "Start"), "Started: next in line")
    assert (await home.ask(_plan, order.id)).early_stop is False


async def test_start_pressed_twice_queues_once(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    first = await ada.click(card, "Start")
    home.deliver_again(first.interaction_id)
    await home.reply(ada, first, "tarted")
    assert len(await home.ask(_pieces, order.id)) == 1


async def test_only_the_owner_may_start_cancel_or_add(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    bruno = home.people["Bruno"]
    for label in ("Start", "Cancel"):
        await home.reply(bruno, await bruno.click(card, label), "Only the person who made this order")
    added = await bruno.submit_modal(await bruno.click(card, "Add pictures"), {"pictures1": photos(1, 50)})
    await home.reply(bruno, added, "Only the person who made this order")
    assert (await order_of(home, order.id)).stage == Stage.DRAFT
    assert len(await home.pictures(order.id)) == 4


async def test_a_person_is_trained_only_with_consent(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada", subject="person")
    asked = await home.reply(ada, await ada.click(card, "Start"), "I have the consent")
    assert (await order_of(home, order.id)).stage == Stage.DRAFT
    await home.reply(ada, await ada.click(asked, "I agree"), "Started")
    row = await order_of(home, order.id)
    assert row.stage == Stage.QUEUED
    assert row.consent_at is not None


async def test_a_missing_permission_is_named_before_anything_is_queued(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    await home.director.direct("overwrite", channel_id=str(home.channel()), deny=["ATTACH_FILES", "ADD_REACTIONS"])
    await home.reply(ada, await ada.click(card, "Start"), "I still need Attach Files, Add Reactions")
    row = await order_of(home, order.id)
    assert (row.stage, row.thread_id) == (Stage.DRAFT, None)
    await home.director.direct("overwrite", channel_id=str(home.channel()), allow=[], deny=[])
    await home.reply(ada, await ada.click(card, "Start"), "Started")


async def test_where_the_plan_could_not_be_shown_no_pictures_are_taken(home: House, ada: Member) -> None:
    before = len(await home.orders())
    await home.director.direct("overwrite", channel_id=str(home.channel()), deny=["EMBED_LINKS"])
    try:
        files = {"image1": photos(1)[0]}
        answer = await ada.slash("train", channel=home.channel(), options={"subject": "object"}, files=files)
        await home.reply(ada, answer, "I still need Embed Links")
    finally:
        await home.director.direct("overwrite", channel_id=str(home.channel()), allow=[], deny=[])
    assert len(await home.orders()) == before


async def test_a_second_order_waits_until_the_first_is_done(home: House, ada: Member) -> None:
    _, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    second, card = await drafted(home, "Ada", first=20)
    await home.reply(ada, await ada.click(card, "Start"), "You already have as many orders here")
    assert (await order_of(home, second.id)).stage == Stage.DRAFT
    assert (await home.card("Ada", second.id)).thread_id is None, "no thread for what is not started"


async def test_consent_is_asked_for_again_when_pictures_are_added(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada", subject="person", first=800)
    await home.ask(_agree, order.id)
    opened = await ada.click(card, "Add pictures")
    await ada.submit_modal(opened, {"pictures1": photos(1, 810)})
    card = await home.card("Ada", order.id, "5 pictures taken")
    await home.reply(ada, await ada.click(card, "Start"), "pictures of a person")
    assert (await order_of(home, order.id)).stage == Stage.DRAFT


def _agree(session: Session, order_id: str) -> None:
    session.get_one(Order, order_id).consent_at = now()


async def test_a_delivered_file_can_be_had_again_from_status(home: House, ada: Member) -> None:
    order, _ = await drafted(home, "Ada", first=820)
    key = f"orders/{order.id}/checkpoints/50/lora.safetensors"
    file = home.settings.artifacts_folder / key
    file.parent.mkdir(parents=True)
    file.write_bytes(b"L" * 900)
    await home.ask(_delivered, order.id, key)
    answer = await ada.slash("status", channel=home.channel())
    listed = await home.reply(ada, answer, "delivered")
    said = await home.reply(ada, await ada.click(listed, f"download:{order.id}"), "Here is the file")
    assert [f.size for f in said.files] == [900]


def _delivered(session: Session, order_id: str, key: str) -> None:
    order = session.get_one(Order, order_id)
    order.stage, order.chosen_step, order.finished_at = Stage.DELIVERED.value, 50, now()
    order.started_at = now()
    session.add(
        Checkpoint(
            order_id=order_id, step=50, lora_artifact=key, lora_sha256="0" * 64, lora_bytes=900,
            grid_artifact="gone", measurement_json="",
        )
    )  # fmt: skip
    session.add(
        Delivery(
            id=f"{order_id}:final:50", order_id=order_id, kind="final", step=50, way="attach",
            files_json=json.dumps({"lora": key}),
        )
    )  # fmt: skip


async def test_cancel_stops_a_queued_order_and_says_so(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    card = await home.card("Ada", order.id, "started")
    await home.reply(ada, await ada.click(card, "Cancel"), "Cancelled")
    row = await order_of(home, order.id)
    assert (row.stage, row.cancel_by) == (Stage.CANCELLED, str(ada.user_id))
    assert [p.state for p in await home.ask(_pieces, order.id)] == ["cancelled"]


async def test_a_cancelled_draft_loses_its_pictures_and_its_buttons(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.slash("cancel", channel=home.channel()), "Cancelled")
    card = await home.card("Ada", order.id, "was cancelled")
    assert card.buttons() == {}
    assert not (home.settings.artifacts_folder / "orders" / order.id / "pictures").exists()
    await home.reply(ada, await ada.slash("cancel", channel=home.channel()), "no order here")


async def test_cancel_offers_the_members_own_open_orders(home: House, ada: Member) -> None:
    order, _ = await drafted(home, "Ada")
    await drafted(home, "Bruno", first=60)
    choices = await ada.complete("cancel", channel=home.channel(), options={"order": ""}, focused="order")
    assert [c["value"] for c in choices] == [order.id]
    assert await ada.complete("cancel", channel=home.channel(), options={"order": "zzz"}, focused="order") == []
    await home.clear("Bruno")


async def test_a_paused_machine_is_said_and_the_order_waits(home: House, ada: Member) -> None:
    await home.ask(set_paused, True)
    try:
        order, card = await drafted(home, "Ada")
        assert "paused" in card.text()
        await home.reply(ada, await ada.click(card, "Start"), "paused at the moment")
        assert (await order_of(home, order.id)).stage == Stage.QUEUED
        await home.reply(ada, await ada.slash("queue", channel=home.channel()), "paused")
    finally:
        await home.ask(set_paused, False)


async def test_retry_puts_a_failed_order_back_for_its_owner_only(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    async with home.database() as database:
        engine = Engine(home.settings, database, "tests")
        await database.transact(fail, engine, order.id, Fault.MACHINE, "the card broke")
        await engine.close()
    bruno = home.people["Bruno"]
    failed = await ada.wait_message(
        lambda m: any(p.get("custom_id") == f"retry:{order.id}" for p in m.parts()), timeout_s=15
    )
    assert "the machine, not you" in failed.text()
    await home.reply(bruno, await bruno.click(failed, f"retry:{order.id}"), "Only the person who made this order")
    await home.reply(ada, await ada.click(failed, f"retry:{order.id}"), "into the queue once more")
    assert (await order_of(home, order.id)).stage == Stage.QUEUED


async def test_queue_and_status_name_the_members_own_orders_with_places(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.slash("status", channel=home.channel()), "draft, waiting for Start")
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    listed = await home.reply(ada, await ada.slash("queue", channel=home.channel()), order.id)
    assert "starts next" in listed.text()
    stranger = home.people["Esra"]
    seen = await home.reply(stranger, await stranger.slash("queue", channel=home.channel("studio")), "another server")
    assert order.id not in seen.text()


async def test_inside_a_thread_the_thread_itself_is_the_orders_place(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    card = await home.card("Ada", order.id, "started")
    await home.reply(ada, await ada.click(card, "Cancel"), "Cancelled")
    files = {f"image{n + 1}": file for n, file in enumerate(photos(4, 30))}
    assert card.thread_id is not None
    answer = await ada.slash("train", channel=card.thread_id, options={"subject": "object"}, files=files)
    inner = await home.wait_for_order(str(answer.interaction_id))
    card = await home.card("Ada", inner.id, "4 pictures taken")
    await home.reply(ada, await ada.click(card, "Start"), f"Follow it in <#{card.channel_id}>")
    assert (await order_of(home, inner.id)).thread_id == str(card.channel_id)


async def test_a_button_that_nobody_knows_is_answered(home: House, ada: Member) -> None:
    _, card = await drafted(home, "Ada")
    said = home.server.world.messages[card.channel_id][card.id]
    said.components[0]["components"][0]["custom_id"] = "dance:4k7m2p9x"
    card = await ada.message(card.channel_id, card.id)
    await home.reply(ada, await ada.click(card, "dance:4k7m2p9x"), "something that is over")


async def test_start_says_so_where_no_thread_can_be_opened(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada", first=700)
    route = "POST /channels/{channel_id}/messages/{message_id}/threads"
    full = {"code": 160006, "message": "Maximum number of active threads reached"}
    await home.director.direct("fault", route=route, status=400, body=full, times=1)
    await home.reply(ada, await ada.click(card, "Start"), "as many open threads as Discord allows")
    assert (await order_of(home, order.id)).stage == Stage.DRAFT


async def test_pictures_that_came_after_the_press_are_not_left_out_of_the_plan(home: House, ada: Member) -> None:
    order, _ = await drafted(home, "Ada", first=720)
    await home.ask(add_links, order.id, [("http://x/late.png", "late.png", 10)])
    async with home.database() as database:
        engine = Engine(home.settings, database, "tests")
        with pytest.raises(Declined):
            await database.transact(
                starting._start,
                engine,
                home.settings,
                order.id,
                order.owner_id,
                None,
            )
        await engine.close()
    assert (await order_of(home, order.id)).stage == Stage.DRAFT
