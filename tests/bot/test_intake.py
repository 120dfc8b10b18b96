"""Pictures come in: by options, by the form, from a message; good ones are kept and bad ones refused by name."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from sqlmodel import Session

from bot import intake
from bot.loopback import objects
from bot.loopback.member import Answer, Member
from bot.loopback.service import GUILDS
from storage.artifacts import Artifacts
from storage.domain.errors import PictureFault
from storage.domain.lifecycle import Stage
from storage.tables import Order, now
from tests.bot.living import House, house, photo, photos

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("intake")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ada(home: House) -> AsyncIterator[Member]:
    """Ada, with nothing of hers left open by an earlier test."""
    yield home.people["Ada"]
    await home.director.direct("clear_faults")
    await home.clear("Ada")


def options(files: list[tuple[str, bytes]]) -> dict[str, Any]:
    return {f"image{n + 1}": file for n, file in enumerate(files)}


async def train(home: House, who: Member, files: list[tuple[str, bytes]], **words: str) -> Answer:
    return await who.slash(
        "train", channel=home.channel(), options={"subject": "object", **words}, files=options(files)
    )


async def test_pictures_as_options_become_a_plan_card_after_an_early_acknowledgement(home: House, ada: Member) -> None:
    answer = await train(home, ada, photos(6), name="Blue *cat* @everyone", class_word="Toy")
    assert answer.answer_kind == 5
    assert answer.after_ms is not None
    assert answer.after_ms < 1000
    order = await home.newest()
    card = await home.card("Ada", order.id)
    assert "6 pictures taken" in card.text()
    assert (order.name, order.class_word, order.subject_type) == ("Blue cat everyone", "toy", "object")
    assert set(card.buttons()) == {
        "Start",
        "Add pictures",
        "Captions",
        "Keep all as they are",
        "Cancel",
    }  # they are soft
    assert card.button("Start")["custom_id"] == f"start:{order.id}"
    reply = await ada.reply_of(answer)
    assert reply.ephemeral
    assert not reply.thinking
    kept = await home.pictures(order.id)
    assert [p.state for p in kept] == ["kept"] * 6
    assert all((home.settings.artifacts_folder / p.artifact).is_file() for p in kept)
    assert not list((home.settings.data_dir / "incoming").rglob("*.raw"))


async def test_no_database_is_touched_before_the_acknowledgement(home: House, ada: Member) -> None:
    async with home.database() as database:
        with database.session():  # SQLite has one writer: every transaction of the bot waits now
            answer = await train(home, ada, photos(4, 50))
            assert answer.answer_kind == 5
            assert (await ada.reply_of(answer)).thinking
    order = await home.wait_for_order(str(answer.interaction_id))
    await home.card("Ada", order.id)
    assert not (await ada.reply_of(answer)).thinking


async def test_the_form_takes_thirty_pictures(home: House, ada: Member) -> None:
    opened = await ada.slash("train", channel=home.channel(), options={"name": "Many"})
    assert opened.state == "modal"
    files = photos(30, 100)
    values = {"subject": "style", "pictures1": files[:10], "pictures2": files[10:20], "pictures3": files[20:]}
    answer = await ada.submit_modal(opened, values)
    assert answer.answer_kind == 5
    order = await home.wait_for_order(str(answer.interaction_id))
    card = await home.card("Ada", order.id)
    assert (order.name, order.subject_type) == ("Many", "style")
    assert "30 pictures taken" in card.text()
    assert [p.source_name for p in await home.pictures(order.id)] == [name for name, _ in files]


async def test_train_from_a_message_asks_what_the_pictures_show(home: House, ada: Member) -> None:
    said = await home.people["Bruno"].post_message(home.channel(), "look", files=photos(5, 200))
    answer = await ada.on_message("Train from these pictures", message=said)
    reply = await home.reply(ada, answer, "What do the pictures show")
    opened = await ada.click(reply, "A character or pet")
    assert opened.state == "modal"
    chosen = await ada.submit_modal(opened, {"name": "Rex @everyone", "class_word": "Dog"})
    order = await home.wait_for_order(str(answer.interaction_id))
    card = await home.card("Ada", order.id, "a character or pet")
    order = await home.wait_for_order(str(answer.interaction_id))
    assert (order.name, order.class_word) == ("Rex everyone", "dog")
    assert "5 pictures taken" in card.text()
    assert order.owner_id == str(ada.user_id)
    await home.reply(ada, chosen, "looking at your pictures")


async def test_words_that_nobody_gives_are_the_standard_ones(home: House, ada: Member) -> None:
    said = await ada.post_message(home.channel(), "look", files=photos(4, 240))
    answer = await ada.on_message("Train from these pictures", message=said)
    opened = await ada.click(await home.reply(ada, answer, "What do the pictures show"), "An object")
    assert opened.state == "modal"
    await ada.submit_modal(opened, {})
    order = await home.wait_for_order(str(answer.interaction_id))
    await home.card("Ada", order.id, "4 pictures taken")
    order = await home.wait_for_order(str(answer.interaction_id))
    assert (order.name, order.class_word) == (order.trigger, "toy")


async def test_every_picture_of_the_command_is_described(home: House) -> None:
    train = next(c for c in home.server.world.commands.values() if c.definition["name"] == "train")
    options = {o["name"]: o["description"] for o in train.definition["options"]}
    assert all("picture" in options[f"image{n}"].lower() for n in range(1, 11))


async def test_a_message_without_pictures_makes_no_order(home: House, ada: Member) -> None:
    before = len(await home.orders())
    said = await ada.post_message(home.channel(), "nothing here")
    answer = await ada.on_message("Train from these pictures", message=said)
    await home.reply(ada, answer, "no picture")
    assert len(await home.orders()) == before


async def test_more_pictures_are_added_and_the_forty_first_is_refused_by_name(home: House, ada: Member) -> None:
    opened = await ada.slash("train", channel=home.channel())
    files = photos(41, 300)
    first = {"subject": "object", "pictures1": files[:10], "pictures2": files[10:20], "pictures3": files[20:30]}
    answer = await ada.submit_modal(opened, first)
    order = await home.wait_for_order(str(answer.interaction_id))
    card = await home.card("Ada", order.id, "30 pictures taken")
    more = await ada.click(card, "Add pictures")
    assert more.state == "modal"
    added = await ada.submit_modal(more, {"pictures1": files[30:40], "pictures2": files[40:]})
    await home.reply(ada, added, "new pictures")
    card = await home.card("Ada", order.id, "40 pictures taken")
    assert "photo-340.png is one too many" in card.text()
    assert [p.state for p in await home.pictures(order.id)] == ["kept"] * 40 + ["refused"]


def _bad_files() -> dict[str, tuple[bytes, PictureFault]]:
    good = photo(900, 128, "JPEG")
    return {
        "notes.txt.png": (b"hello, I am a text", PictureFault.NOT_A_PICTURE),
        "empty.jpg": (b"", PictureFault.EMPTY),
        "cut.png": (photo(901)[:-400], PictureFault.TRUNCATED),
        "tiny.png": (photo(902, 32), PictureFault.TOO_SMALL),
        "again.jpg": (good, PictureFault.DUPLICATE),
        "nearly.jpg": (_recompressed(good), PictureFault.NEAR_DUPLICATE),
    }


def _recompressed(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((120, 120)).save(out, "JPEG", quality=70)
    return out.getvalue()


async def test_bad_files_are_refused_by_name_and_the_others_kept(home: House, ada: Member) -> None:
    bad = _bad_files()
    good = [("first.jpg", photo(900, 128, "JPEG")), *photos(3, 910)]
    await train(home, ada, [*good, *((name, data) for name, (data, _) in bad.items())])
    order = await home.newest()
    card = await home.card("Ada", order.id)
    found = {p.source_name: p for p in await home.pictures(order.id)}
    assert [found[name].state for name, _ in good] == ["kept"] * 4
    assert {name: found[name].fault for name in bad} == {name: fault.value for name, (_, fault) in bad.items()}
    assert "4 pictures taken, 6 not used" in card.text()
    for name in bad:
        assert name in card.text()
    assert "the same picture as first.jpg" in card.text()
    assert not card.button("Start").get("disabled")


async def test_what_the_doctor_finds_is_a_proposal_and_every_choice_can_be_taken_back(home: House, ada: Member) -> None:
    await train(home, ada, [("soft.png", soft(930)), ("sharp.png", sharp(931)), *photos(4, 932)])
    order = await home.newest()
    card = await home.card("Ada", order.id, "6 pictures taken")
    assert "soft.png looks blurred" in card.text()
    assert "sharp.png looks" not in card.text()
    assert [p.state for p in await home.pictures(order.id)] == ["kept"] * 6
    answer = await ada.click(card, f"aside:{order.id}", values=["out0", "out2"])
    await home.reply(ada, answer, "2 pictures left out")
    card = await home.card("Ada", order.id, "4 pictures taken, 2 not used")
    assert "soft.png was left out, as you asked." in card.text()
    stranger = await home.people["Bruno"].click(card, f"aside:{order.id}", values=["in0"])
    await home.reply(home.people["Bruno"], stranger, "Only the person who made this order")
    answer = await ada.click(card, f"aside:{order.id}", values=["in0"])
    await home.reply(ada, answer, "1 picture brought back")
    card = await home.card("Ada", order.id, "5 pictures taken")
    assert "soft.png looks blurred" not in card.text()  # the owner wants it as it is
    await home.reply(ada, await ada.click(card, "Keep all as they are"), "say no more")
    async with asyncio.timeout(10):
        while "looks blurred" in (card := await home.card("Ada", order.id)).text():  # noqa: ASYNC110  # from outside
            await asyncio.sleep(0.02)
    assert "Keep all as they are" not in card.buttons()


async def test_a_near_twin_is_set_aside_and_used_where_the_owner_wants_it(home: House, ada: Member) -> None:
    await train(
        home,
        ada,
        [("one.jpg", photo(940, 128, "JPEG")), *photos(3, 941), ("two.jpg", _recompressed(photo(940, 128, "JPEG")))],
    )
    order = await home.newest()
    card = await home.card("Ada", order.id, "4 pictures taken, 1 not used")
    assert "two.jpg is almost the same picture as one.jpg" in card.text()
    await home.reply(ada, await ada.click(card, f"aside:{order.id}", values=["in4"]), "1 picture brought back")
    await home.card("Ada", order.id, "5 pictures taken.")
    twin = (await home.pictures(order.id))[4]
    assert (twin.state, twin.fault) == ("kept", None)
    assert (home.settings.artifacts_folder / (twin.artifact or "")).is_file()


def soft(seed: int) -> bytes:
    """Colour fields that run into each other, at every size."""
    return photo(seed, 200)


def sharp(seed: int) -> bytes:
    """The same with hard edges."""
    out = io.BytesIO()
    Image.open(io.BytesIO(photo(seed, 200))).quantize(6).convert("RGB").save(out, "PNG")
    return out.getvalue()


async def test_too_few_good_pictures_cannot_be_started_until_more_are_added(home: House, ada: Member) -> None:
    await train(home, ada, photos(3, 950))
    order = await home.newest()
    card = await home.card("Ada", order.id)
    assert "1 picture more needed" in card.text()
    assert card.button("Start")["disabled"]
    more = await ada.click(card, "Add pictures")
    await ada.submit_modal(more, {"pictures1": photos(1, 960)})
    card = await home.card("Ada", order.id, "4 pictures taken")
    assert not card.button("Start").get("disabled")


async def test_an_expired_link_is_refused_by_name(home: House, ada: Member) -> None:
    await home.director.direct("fault", route="GET cdn", status=404, times=1)
    await train(home, ada, photos(5, 970))
    order = await home.newest()
    card = await home.card("Ada", order.id)
    assert "is gone: Discord's link" in card.text()
    assert "4 pictures taken" in card.text()


async def test_a_redirect_is_not_followed_and_a_dropped_download_is_tried_again(home: House, ada: Member) -> None:
    await home.director.direct("fault", route="GET cdn", redirect="http://127.0.0.1:9/elsewhere", times=1)
    await home.director.direct("fault", route="GET cdn", drop=True, times=2)
    await train(home, ada, photos(5, 980))
    order = await home.newest()
    card = await home.card("Ada", order.id)
    states = [p.state for p in await home.pictures(order.id)]
    assert states.count("kept") == 4
    assert "could not be fetched" in card.text()


async def test_an_interaction_that_is_delivered_twice_makes_one_order_and_one_card(home: House, ada: Member) -> None:
    before = len(await home.orders())
    answer = await train(home, ada, photos(4, 1000))
    home.deliver_again(answer.interaction_id)
    order = await home.wait_for_order(str(answer.interaction_id))
    await home.card("Ada", order.id, "4 pictures taken")
    home.deliver_again(answer.interaction_id)
    await asyncio.sleep(0.5)
    assert len(await home.orders()) == before + 1
    assert len(await home.pictures(order.id)) == 4
    cards = [m for m in await home.director.messages(home.channel()) if f"{order.id}-plan" in m.text()]
    assert len(cards) == 1
    assert not (await ada.reply_of(answer)).thinking


async def test_a_fourth_draft_is_declined_in_plain_words(home: House, ada: Member) -> None:
    for n in range(3):
        answer = await train(home, ada, photos(1, 1100 + n))
        await home.wait_for_order(str(answer.interaction_id))
    fourth = await train(home, ada, photos(1, 1110))
    await home.reply(ada, fourth, "3 plans here that wait for Start")


async def test_a_draft_that_nobody_starts_expires_and_its_pictures_go(home: House, ada: Member) -> None:
    await train(home, ada, photos(4, 1200))
    order = await home.newest()
    card = await home.card("Ada", order.id)
    folder = home.settings.artifacts_folder / "orders" / order.id / "pictures"
    assert folder.is_dir()
    await home.ask(_let_expire, order.id)
    card = await home.card("Ada", order.id, "has expired")
    assert card.buttons() == {}
    assert (await home.newest()).stage == Stage.EXPIRED
    async with asyncio.timeout(10):
        while folder.exists():  # noqa: ASYNC110  # the loop under test removes it
            await asyncio.sleep(0.05)


def _let_expire(session: Session, order_id: str) -> None:
    session.get_one(Order, order_id).expires_at = now() - timedelta(seconds=1)


def _becomes(home: House, channel_id: int, kind: int) -> None:
    """As if the channel were deleted and made anew, of another kind."""
    place = home.server.world.channels[channel_id]
    service = home.server.service
    service.tell_bot("CHANNEL_DELETE", objects.channel(home.server.world, place), intent=GUILDS, place=place)
    place.kind = kind
    data = objects.channel(home.server.world, place)
    service.tell_bot("CHANNEL_CREATE", data, intent=GUILDS, place=place)


async def test_a_channel_without_threads_is_refused_before_pictures_are_taken(home: House, ada: Member) -> None:
    general = home.channel("general")
    before = len(await home.orders())
    _becomes(home, general, 2)  # the text chat of a voice channel
    try:
        files = options(photos(4, 1300))
        answer = await ada.slash("train", channel=general, options={"subject": "object"}, files=files)
        await home.reply(ada, answer, "in this channel there can be none")
    finally:
        _becomes(home, general, 0)
    assert len(await home.orders()) == before


async def test_a_store_that_fails_for_a_moment_costs_no_picture_and_no_draft(
    home: House, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, failures = Artifacts.put, [OSError(28, "No space left on device")]

    async def now_and_then(self: Artifacts, key: str, what: Any) -> None:
        if failures:
            raise failures.pop()
        await put(self, key, what)

    monkeypatch.setattr(Artifacts, "put", now_and_then)
    monkeypatch.setattr(intake, "FIRST_REST_S", 0.1)
    await train(home, ada, photos(4, 1400))
    order = await home.newest()
    await home.card("Ada", order.id, "4 pictures taken")
    assert not failures


async def test_what_can_never_be_stored_is_refused_and_the_draft_goes_on(
    home: House, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Artifacts.put

    async def not_the_second(self: Artifacts, key: str, what: Any) -> None:
        if key.endswith("/1.jpg"):
            raise OSError(5, "Input/output error")
        await put(self, key, what)

    monkeypatch.setattr(Artifacts, "put", not_the_second)
    monkeypatch.setattr(intake, "FIRST_REST_S", 0.05)
    await train(home, ada, photos(5, 1500))
    order = await home.newest()
    card = await home.card("Ada", order.id, "not used")
    assert "photo-1501.png" in card.text()


async def test_a_deleted_plan_card_is_posted_again_when_the_draft_changes(home: House, ada: Member) -> None:
    await train(home, ada, photos(4, 1600))
    order = await home.newest()
    card = await home.card("Ada", order.id, "4 pictures taken")
    opened = await ada.click(card, "Add pictures")
    await home.people["Mira"].delete(card)
    await ada.submit_modal(opened, {"pictures1": photos(1, 1610)})
    again = await home.card("Ada", order.id, "5 pictures taken")
    assert again.id != card.id
    await home.reply(ada, await ada.click(again, "Start"), "Started")
