"""Nothing leaves Discord's published contract unseen, in either direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.loopback.contract import Contract

if TYPE_CHECKING:
    from conftest import Stage

BUTTON = {"type": 2, "style": 1, "label": "x", "custom_id": "a"}
COMMAND = {"name": "train", "description": "x"}


def row(*parts: Any) -> dict[str, Any]:
    return {"type": 1, "components": list(parts)}


def option(name: str, **more: Any) -> dict[str, Any]:
    return {"type": 3, "name": name, "description": "x"} | more


def text_display(words: str) -> dict[str, Any]:
    return {"type": 10, "content": words}


BAD_MESSAGES: dict[str, dict[str, Any]] = {
    "unknown key": {"content": "x", "colour": "red"},
    "unknown key deep inside": {"components": [row(BUTTON | {"colour": "red"})]},
    "over 2000 characters": {"content": "x" * 2001},
    "nothing to say": {"content": ""},
    "11 embeds": {"embeds": [{"title": "x"}] * 11},
    "embeds over 6000 characters": {"embeds": [{"description": "x" * 3001}] * 2},
    "embed title of 257": {"embeds": [{"title": "x" * 257}]},
    "label of 81": {"components": [row(BUTTON | {"label": "x" * 81})]},
    "custom_id of 101": {"components": [row(BUTTON | {"custom_id": "x" * 101})]},
    "six buttons in a row": {"components": [row(*(BUTTON | {"custom_id": str(n)} for n in range(6)))]},
    "six rows": {"components": [row(BUTTON | {"custom_id": str(n)}) for n in range(6)]},
    "one custom_id twice": {"components": [row(BUTTON, BUTTON)]},
    "a button without a name": {"components": [row({"type": 2, "style": 1, "custom_id": "a"})]},
    "a link button with custom_id": {"components": [row(BUTTON | {"style": 5, "url": "https://example.org"})]},
    "content beside components v2": {"content": "x", "flags": 1 << 15, "components": [text_display("x")]},
    "v2 components without the flag": {"components": [text_display("x")]},
    "41 components": {"flags": 1 << 15, "components": [text_display("x")] * 41},
    "4001 characters of text": {"flags": 1 << 15, "components": [text_display("x" * 4001)]},
    "11 pictures in a gallery": {
        "flags": 1 << 15,
        "components": [{"type": 12, "items": [{"media": {"url": "https://example.org/a.png"}}] * 11}],
    },
    "a picture that did not come": {
        "flags": 1 << 15,
        "components": [{"type": 12, "items": [{"media": {"url": "attachment://a.png"}}]}],
    },
    "nonce of 26": {"content": "x", "nonce": "x" * 26},
    "11 attachments": {"content": "x", "attachments": [{"id": n} for n in range(11)]},
}


@pytest.mark.parametrize("body", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
async def test_a_bad_message_is_50035_and_recorded(stage: Stage, body: dict[str, Any]) -> None:
    stage.tolerated = True
    status, reply, _ = await stage.call("POST", f"/channels/{stage.lora}/messages", json=body)
    assert status == 400
    assert reply["code"] == (50006 if body == {"content": ""} else 50035)
    assert {v.where for v in stage.server.violations} == {"request"}
    assert (await stage.director.violations())[0]["route"] == "POST /channels/{channel_id}/messages"


LONG_CHOICES = [{"name": str(n) * 90, "value": "x"} for n in range(5)]
BAD_COMMANDS: dict[str, list[dict[str, Any]]] = {
    "capital letters": [COMMAND | {"name": "Train"}],
    "no description": [{"name": "train"}],
    "26 options": [COMMAND | {"options": [option(f"o{n}") for n in range(26)]}],
    "26 choices": [
        COMMAND | {"options": [option("o", choices=[{"name": str(n), "value": str(n)} for n in range(26)])]}
    ],
    "description of 101": [COMMAND | {"description": "x" * 101}],
    "required after optional": [COMMAND | {"options": [option("a"), option("b", required=True)]}],
    "one name twice": [COMMAND, COMMAND],
    "one option twice": [COMMAND | {"options": [option("a"), option("a")]}],
    "over 8000 characters": [COMMAND | {"options": [option(f"o{n}", choices=LONG_CHOICES) for n in range(25)]}],
    "a menu command with a description": [{"name": "Train", "type": 3, "description": "x"}],
    "six menu commands too many": [{"name": f"Menu {n}", "type": 3} for n in range(16)],
    "unknown key": [COMMAND | {"colour": "red"}],
}


@pytest.mark.parametrize("body", BAD_COMMANDS.values(), ids=BAD_COMMANDS)
async def test_a_bad_command_is_50035_and_recorded(stage: Stage, body: list[dict[str, Any]]) -> None:
    stage.tolerated = True
    path = f"/applications/{stage.server.world.application_id}/commands"
    status, reply, _ = await stage.call("PUT", path, json=body)
    assert (status, reply["code"]) == (400, 50035)
    assert stage.server.violations


async def test_an_unknown_route_a_missing_one_and_a_strange_query_are_recorded(stage: Stage) -> None:
    stage.tolerated = True
    assert (await stage.call("GET", "/no/such/route"))[0] == 404
    assert (await stage.call("POST", "/guilds/1/channels", json={"name": "x"}))[0] == 404
    assert (await stage.call("GET", f"/channels/{stage.lora}/messages?colour=red"))[0] == 400
    assert (await stage.call("GET", f"/channels/{stage.lora}/messages?limit=101"))[0] == 400
    found = [(v.where, v.message) for v in stage.server.violations]
    assert found[0] == ("route", "unknown route")
    assert found[1] == ("route", "known to the contract, not to the loopback route")
    assert [w for w, _ in found[2:]] == ["request", "request"]


async def test_a_strange_user_agent_and_a_wrong_media_type_are_recorded(stage: Stage) -> None:
    stage.tolerated = True
    await stage.call("GET", "/users/@me", headers={"User-Agent": "curl"})
    status, _, _ = await stage.call(
        "POST", f"/channels/{stage.lora}/messages", data=b'{"content": "x"}', headers={"Content-Type": "text/plain"}
    )
    assert status == 400
    assert len(stage.server.violations) == 2


async def test_an_eleventh_file_and_a_body_that_is_no_json_are_refused(stage: Stage) -> None:
    stage.tolerated = True
    form = aiohttp.FormData()
    for number in range(11):
        form.add_field(f"files[{number}]", b"x", filename=f"{number}.txt")
    status, reply, _ = await stage.call("POST", f"/channels/{stage.lora}/messages", data=form)
    assert (status, reply["code"]) == (400, 50035)
    broken = {"data": b"{", "headers": {"Content-Type": "application/json"}}
    status, reply, _ = await stage.call("POST", f"/channels/{stage.lora}/messages", **broken)
    assert (status, reply["code"]) == (400, 50035)
    assert list(stage.server.service.blobs.iterdir()) == []


async def test_an_answer_that_drifts_from_the_contract_is_recorded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.tolerated = True
    from bot.loopback import objects

    whole = objects.own_user
    monkeypatch.setattr(objects, "own_user", lambda p: whole(p) | {"verified": 5, "colour": "red"})
    await stage.call("GET", "/users/@me")
    monkeypatch.setattr(objects, "own_user", lambda p: whole(p) | {"colour": "red"})
    await stage.call("GET", "/users/@me")
    assert [(v.where, v.path) for v in stage.server.violations] == [("reply", "verified"), ("reply", "colour")], (
        "an unknown key counts once the known ones are right"
    )


def test_snowflakes_may_be_numbers_and_other_strings_may_not() -> None:
    contract = Contract()
    operation = contract.operation("POST", "/channels/{channel_id}/messages")
    assert operation is not None
    good = {"content": "x", "allowed_mentions": {"users": [12345678901234567]}, "attachments": [{"id": 0}]}
    assert contract.request_problems(operation, query={}, body=good) == []
    assert contract.request_problems(operation, query={}, body={"content": 5})[0].path == "content"


def test_every_object_schema_that_a_message_uses_is_checked_for_unknown_keys() -> None:
    contract = Contract()
    operation = contract.operation("POST", "/channels/{channel_id}/messages")
    assert operation is not None
    places: list[dict[str, Any]] = [
        {"embeds": [{"title": "x", "colour": 1}]},
        {"embeds": [{"footer": {"text": "x", "colour": 1}}]},
        {"embeds": [{"fields": [{"name": "a", "value": "b", "colour": 1}]}]},
        {"allowed_mentions": {"colour": 1}},
        {"attachments": [{"id": "0", "colour": 1}]},
        {"message_reference": {"message_id": "1", "colour": 1}},
        {"components": [row(BUTTON | {"emoji": {"name": "x", "colour": 1}})]},
    ]
    for body in places:
        found = contract.request_problems(operation, query={}, body=body)
        assert [p.path.rpartition(".")[2] for p in found] == ["colour"], body


async def test_a_part_of_an_event_that_drifts_is_recorded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.tolerated = True
    from bot.loopback import objects

    whole = objects.member
    monkeypatch.setattr(objects, "member", lambda w, m: whole(w, m) | {"colour": "red"})
    player = await stage.bot()
    assert {(v.where, v.route) for v in stage.server.violations} == {("event", "GUILD_CREATE")}
    stage.server.violations.clear()
    grid = await player.get_channel(stage.lora).send("grid")
    stage.server.violations.clear()
    await grid.add_reaction("👍")
    assert [(v.route, v.path) for v in stage.server.violations] == [("MESSAGE_REACTION_ADD", "colour")]
