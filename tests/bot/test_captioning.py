"""The owner sees and corrects what the pictures are called, in a form or by a file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot.loopback.member import Member
from tests.bot.living import House, drafted, house

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("captioning")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ada(home: House) -> AsyncIterator[Member]:
    """Ada, with nothing of hers left open by an earlier test."""
    yield home.people["Ada"]
    await home.clear("Ada")


async def captions(home: House, order_id: str) -> list[str]:
    return [p.caption for p in await home.pictures(order_id)]


async def test_captions_are_corrected_in_the_form_and_by_the_file_that_comes_back(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada", subject="character", first=1000)
    assert "Captions: the standard ones for all pictures." in card.text()
    opened = await ada.click(card, "Captions")
    assert opened.state == "modal"
    assert "#1 photo-1000.png: " in json.dumps(opened.modal)
    sent = await ada.submit_modal(
        opened, {"lines": "#1 photo-1000.png: with brown fur, on a *sofa*\nphoto-1002.png: at sea"}
    )
    said = await home.reply(ada, sent, "2 of 4 pictures have words of their own")
    assert "The caption of photo-1000.png says fur: better not" in said.text()
    assert await captions(home, order.id) == ["with brown fur, on a *sofa*", "", "at sea", ""]
    card = await home.card("Ada", order.id, "2 of 4 pictures have words of their own")
    (file,) = said.files
    text = (await ada.download(file)).decode()
    assert text.splitlines()[0] == "#1 photo-1000.png: with brown fur, on a *sofa*"
    edited = (
        text.replace("with brown fur, ", "")
        .replace("at sea", f"at sea {'and on ' * 300}")
        .replace("#2 photo-1001.png: ", "#2 photo-1001.png: in snow")
        .encode()
    )
    sent = await ada.submit_modal(await ada.click(card, "Captions"), {"file": [("captions.txt", edited)]})
    said = await home.reply(ada, sent, "3 of 4 pictures have words of their own")
    assert "better not" not in said.text()
    assert "The caption of photo-1003.png is empty" in said.text()
    assert "The caption of photo-1002.png is too long: its first 1000 characters are used" in said.text()
    kept = await captions(home, order.id)
    assert [kept[n] for n in (0, 1, 3)] == ["on a *sofa*", "in snow", ""]
    assert len(kept[2]) <= 1000


async def test_captions_that_cannot_be_used_change_nothing_and_say_why(home: House, ada: Member) -> None:
    order, card = await drafted(home, "Ada", first=1010)

    async def answer(values: dict[str, object], wanted: str) -> None:
        sent = await ada.submit_modal(await ada.click(card, "Captions"), values)
        await home.reply(ada, sent, wanted)

    await answer({"file": [("c.txt", "#1: größer".encode("latin-1"))]}, "is not written in UTF-8")
    line = json.dumps({"file_name": "nobody.png", "text": "x"}).encode()
    await answer({"file": [("metadata.jsonl", line)]}, "has a caption for nobody.png, and there is no such picture")
    await answer({"lines": "#9: too far"}, "line 1 is for picture #9")
    await answer({"lines": ""}, "The captions are as they were")
    assert await captions(home, order.id) == ["", "", "", ""]


async def test_more_captions_than_the_form_holds_come_in_whole_lines_and_all_of_them_in_a_file(
    home: House, ada: Member
) -> None:
    order, card = await drafted(home, "Ada", first=1030)
    names = [p.source_name for p in await home.pictures(order.id)]
    long = "".join(f"#{n} {name}: {'a word ' * 140}{n}\n" for n, name in enumerate(names, 1))
    sent = await ada.submit_modal(await ada.click(card, "Captions"), {"file": [("captions.txt", long.encode())]})
    await home.reply(ada, sent, "4 of 4 pictures have words of their own")
    opened = await ada.click(await home.card("Ada", order.id, "4 of 4 pictures"), "Captions")
    shown = json.dumps(opened.modal)
    assert "The first 3 of 4 pictures" in shown
    assert f"#3 {names[2]}: a word" in shown
    assert f"#4 {names[3]}" not in shown
    said = await home.reply(ada, await ada.submit_modal(opened, {"lines": ""}), "The captions are as they were")
    (file,) = said.files
    assert (await ada.download(file)).decode().count("a word") == 560
    assert all(len(caption) > 900 for caption in await captions(home, order.id))


async def test_captions_are_the_owners_alone(home: House, ada: Member) -> None:
    _, card = await drafted(home, "Ada", first=1020)
    bruno = home.people["Bruno"]
    await home.reply(bruno, await bruno.click(card, "Captions"), "Only the person who made this order")
