"""Moderators and operators: stop, remove, channels, consent line, allowed servers, a full disk, the bot's removal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlmodel import Session

from bot.languages import Languages
from bot.loopback.member import Member, Refused
from storage.domain.lifecycle import Stage
from storage.tables import Attempt, Community
from tests.bot.living import House, drafted, house, order_of, photos

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("moderation"), absence_s=0.3) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ada(home: House) -> AsyncIterator[Member]:
    yield home.people["Ada"]
    await home.clear("Ada")


@pytest.fixture
def mira(home: House) -> Member:
    """The moderator."""
    return home.people["Mira"]


def _open_to_all(home: House) -> None:
    """As a server may do: its own settings let everybody see the commands of moderators."""
    for command in home.server.world.commands.values():
        command.definition["default_member_permissions"] = None


def _community(session: Session, community_id: str) -> Community:
    return session.get_one(Community, community_id)


async def test_commands_of_moderators_are_hidden_from_others(home: House, ada: Member) -> None:
    with pytest.raises(Refused):
        await ada.slash("moderate stop", channel=home.channel(), options={"order": "x", "reason": "y"})


async def test_a_moderator_stops_an_order_with_a_reason_that_cannot_ping(
    home: House, ada: Member, mira: Member
) -> None:
    order, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    words = {"order": order.id, "reason": "spam @everyone"}
    said = await home.reply(mira, await mira.slash("moderate stop", channel=home.channel(), options=words), "stopped")
    assert "@everyone" not in said.text()
    row = await order_of(home, order.id)
    assert (row.stage, row.cancel_by) == (Stage.CANCELLED, f"moderator:{mira.user_id}")
    assert row.cancel_reason == "spam @everyone"
    again = await mira.slash("moderate stop", channel=home.channel(), options={"order": order.id, "reason": "twice"})
    assert "stopped already" in (await home.reply(mira, again, "nothing left to stop")).text()
    assert (await order_of(home, order.id)).cancel_reason == "spam @everyone"


async def test_removing_an_order_deletes_its_files_and_messages(home: House, ada: Member, mira: Member) -> None:
    order, card = await drafted(home, "Ada")
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    words = {"order": order.id, "reason": "not allowed here"}
    answer = await mira.slash("moderate remove", channel=home.channel(), options=words)
    await home.reply(mira, answer, "removed")
    assert not (home.settings.artifacts_folder / "orders" / order.id).exists()
    with pytest.raises(LookupError):
        await ada.message(card.channel_id, card.id)
    row = await order_of(home, order.id)
    assert row.stage == Stage.CANCELLED
    told = await ada.wait_message(lambda m: "A moderator removed" in m.text() and not m.ephemeral)
    assert "not allowed here" in told.text()
    assert [int(u["id"]) for u in told.raw["mentions"]] == [ada.user_id]
    left = [m for m in await home.director.messages(int(row.thread_id)) if order.id in m.text()]
    assert [m.id for m in left] == [told.id]


async def test_what_a_turn_stores_after_the_removal_goes_too(home: House, ada: Member, mira: Member) -> None:
    order, card = await drafted(home, "Ada", first=300)
    await home.reply(ada, await ada.click(card, "Start"), "Started")
    turn = Attempt(id=f"{order.id}:train:1:1", piece_id=f"{order.id}:train:1", order_id=order.id, executor_id="w")
    await home.ask(_add, turn)
    words = {"order": order.id, "reason": "no"}
    await home.reply(mira, await mira.slash("moderate remove", channel=home.channel(), options=words), "removed")
    late = home.settings.artifacts_folder / "orders" / order.id / "checkpoints" / "50" / "grid.png"
    late.parent.mkdir(parents=True)
    late.write_bytes(b"x")
    await asyncio.sleep(0.5)
    assert late.exists(), "the turn still runs"
    await home.ask(_end, turn.id)
    async with asyncio.timeout(10):
        while late.exists():  # noqa: ASYNC110  # from outside
            await asyncio.sleep(0.05)


def _add(session: Session, row: Attempt) -> None:
    session.add(row)


def _end(session: Session, attempt_id: str) -> None:
    session.get_one(Attempt, attempt_id).outcome = "cancelled"


async def test_permissions_are_checked_again_where_the_server_opened_the_commands(
    home: House, ada: Member, mira: Member
) -> None:
    order, _ = await drafted(home, "Ada")
    _open_to_all(home)
    bruno = home.people["Bruno"]
    for command, words in (
        ("moderate stop", {"order": order.id, "reason": "no"}),
        ("moderate remove", {"order": order.id, "reason": "no"}),
        ("settings consent", {"line": "no"}),
        ("settings allow", {"channel": str(home.channel("general"))}),
    ):
        answer = await bruno.slash(command, channel=home.channel(), options=words)
        await home.reply(bruno, answer, "Only moderators" if command.startswith("moderate") else "Only those who may")
    assert (await order_of(home, order.id)).stage == Stage.DRAFT


async def test_a_moderator_of_another_server_cannot_touch_an_order(home: House, ada: Member) -> None:
    order, _ = await drafted(home, "Ada")
    esra = home.people["Esra"]  # owns the second server
    words = {"order": order.id, "reason": "mine"}
    answer = await esra.slash("moderate stop", channel=home.channel("studio"), options=words)
    await home.reply(esra, answer, "do not know that order")
    assert (await order_of(home, order.id)).stage == Stage.DRAFT


async def test_orders_are_taken_in_allowed_channels_only(home: House, ada: Member, mira: Member) -> None:
    general = home.channel("general")
    answer = await mira.slash("settings allow", channel=home.channel(), options={"channel": str(general)})
    await home.reply(mira, answer, f"<#{general}> only")
    files = {f"image{n + 1}": f for n, f in enumerate(photos(4))}
    refused = await ada.slash("train", channel=home.channel(), options={"subject": "object"}, files=files)
    await home.reply(ada, refused, f"in other channels only: <#{general}>")
    taken = await ada.slash("train", channel=general, options={"subject": "object"}, files=files)
    assert (await home.wait_for_order(str(taken.interaction_id))).channel_id == str(general)
    answer = await mira.slash("settings disallow", channel=home.channel(), options={"channel": str(general)})
    await home.reply(mira, answer, "every channel")


async def test_the_servers_own_consent_line_is_asked(home: House, ada: Member, mira: Member) -> None:
    answer = await mira.slash("settings consent", channel=home.channel(), options={"line": "I asked *her* @here"})
    await home.reply(mira, answer, "I asked")
    _, card = await drafted(home, "Ada", subject="person")
    asked = await home.reply(ada, await ada.click(card, "Start"), "I asked")
    assert "@here" not in asked.text()
    await home.reply(mira, await mira.slash("settings consent", channel=home.channel()), "standard")


async def test_a_waiting_order_whose_owner_left_is_cancelled(home: House) -> None:
    order, card = await drafted(home, "Chidi")
    chidi = home.people["Chidi"]
    await home.reply(chidi, await chidi.click(card, "Start"), "Started")
    await chidi.leave(int(order.community_id))
    async with asyncio.timeout(10):
        while (row := await order_of(home, order.id)).stage != Stage.CANCELLED:  # noqa: ASYNC110  # from outside
            await asyncio.sleep(0.05)
    assert row.cancel_reason == "its owner left the server"


async def test_a_server_that_removes_the_bot_loses_its_waiting_orders(home: House, ada: Member) -> None:
    finn = home.people["Finn"]
    order, card = await drafted(home, "Finn", place="studio")
    await home.reply(finn, await finn.click(card, "Start"), "Started")
    await home.director.direct("kick", guild_id=order.community_id)
    async with asyncio.timeout(10):
        while (await order_of(home, order.id)).stage != Stage.CANCELLED:  # noqa: ASYNC110  # from outside
            await asyncio.sleep(0.05)
    assert (await home.ask(_community, order.community_id)).removed_at is not None
    await home.director.direct("invite", guild_id=order.community_id)
    await home.registered()
    again, _ = await drafted(home, "Finn", place="studio", first=40)
    assert (await home.ask(_community, again.community_id)).removed_at is None


async def test_moderators_of_one_channel_have_no_right_to_orders_of_another_nor_to_settings(
    home: House, ada: Member
) -> None:
    order, _ = await drafted(home, "Ada", first=400)
    _open_to_all(home)
    bruno, general = home.people["Bruno"], home.channel("general")
    await home.director.direct(
        "overwrite", channel_id=str(general), target_id=str(bruno.user_id), allow=["MANAGE_MESSAGES"]
    )
    words = {"order": order.id, "reason": "no"}
    answer = await bruno.slash("moderate stop", channel=general, options=words)
    await home.reply(bruno, answer, "Only moderators of the channel")
    answer = await bruno.slash("settings consent", channel=general, options={"line": "no"})
    await home.reply(bruno, answer, "Only those who may manage the server")
    assert (await order_of(home, order.id)).stage == Stage.DRAFT


async def test_a_member_reads_their_own_language_and_the_channel_the_servers(
    home: House, ada: Member, mira: Member
) -> None:
    """Ada's Discord is French, the server's English; then the moderator chooses Hebrew for it, and Ada Vietnamese.

    Meanwhile the server becomes Vietnamese on Discord: that holds once nothing is chosen any more.
    """
    await home.director.direct("member", user_id=str(ada.user_id), locale="fr")
    order, card = await drafted(home, "Ada")
    assert "Start" in card.buttons()
    await home.reply(ada, await ada.click(card, "Start"), "C'est lancé")
    status = await ada.wait_message(lambda m: f"{order.id}-status" in m.text() and not m.ephemeral)
    assert "number" in status.text() or "next in line" in status.text(), "the thread stays in the server's language"
    await home.director.direct("server", guild_id=order.community_id, locale="vi")
    said = await mira.slash("settings language", channel=home.channel(), options={"language": "he"})
    await home.reply(mira, said, "עברית")
    await ada.wait_message(lambda m: f"{order.id}-status" in m.text() and "בתור" in m.text())
    said = await ada.slash("language", channel=home.channel(), options={"language": "vi"})
    await home.reply(ada, said, "Tiếng Việt")
    said = await ada.slash("cancel", channel=home.channel(), options={"order": order.id})
    await home.reply(ada, said, "Đã hủy")
    await home.card("Ada", order.id, "התחילה")
    remembered = Languages()
    await home.ask(remembered.load)
    assert remembered.chosen == {str(ada.user_id): "vi"}
    for person, command in ((mira, "settings language"), (ada, "language")):
        answer = await person.slash(command, channel=home.channel(), options={"language": "discord"})
        await home.reply(person, answer, "Tiếng Việt" if person is mira else "français")
    await home.director.direct("member", user_id=str(ada.user_id), locale="en-US")
    await home.director.direct("server", guild_id=order.community_id, locale="en-US")
