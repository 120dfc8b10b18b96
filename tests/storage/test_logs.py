"""The log: lines that a collector reads, with order ids, and no secret whoever lets one slip."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from storage import logs

TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAw.Loop1a." + "b" * 38


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What the process logs; its own set-up comes back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers.clear()
    stream = io.StringIO()
    yield stream
    root.handlers[:], root.level = before, level


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def broken(why: str) -> None:
    raise ValueError(why)


def test_a_line_is_one_object_with_its_order_and_its_error(said: io.StringIO) -> None:
    logs.begin("json", "worker", stream=said)
    log = logging.getLogger("trainer.job")
    with logs.about("abcd2345"):
        try:
            broken("two\nlines")
        except ValueError:
            log.exception("turn %s\nbroke", 3)
    log.debug("not this")
    log.info("later")
    first, second = lines(said)
    assert (first["level"], first["program"], first["from"], first["order"]) == (
        "error",
        "worker",
        "trainer.job",
        "abcd2345",
    )
    assert first["says"] == "turn 3\nbroke"
    assert "ValueError: two" in first["error"]
    assert first["at"].endswith("+00:00")
    assert "order" not in second


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_gets_through_in_words_arguments_or_tracebacks(
    form: logs.Form, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalr/own+key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "x")
    slips = {
        "the value": "own-secret-value",
        "a token": TOKEN,
        "a reply's address": "https://discord.com/api/v10/webhooks/123/"
        + "aW50ZXJhY3Rpb24" * 4
        + "/messages/@original",
        "an event": str({"t": "INTERACTION_CREATE", "token": "aW50ZXJhY3Rpb246" * 2}),
        "a database": "postgresql://lora:pass-word@db/lorasmith",
        "a database without a user": "postgres://:pass-word@db/lorasmith",
        "a database with an @": "postgresql://lora:p@pass-word@db/lorasmith",
        "an event as JSON": '{"token":"aW50ZXJhY3Rpb24"}',
        "a call": "Webhook(id=1, token='aW50ZXJhY3Rpb24')",
        "a store's link": "https://s3/b/k?X-Amz-Expires=90&X-Amz-Signature=" + "e" * 64,
        "a store's key": "signed with wJalr/own+key",
        "a password with a blank": '{"password": "two pass-word"}',
        "a setting": "AWS_SECRET_ACCESS_KEY=wJalr",
        "a hub's": "hf_" + "c" * 30,
        "a link": "https://x/files/a/2/lora?m=1&e=2&s=" + "d" * 64,
    }
    hidden = ("own-secret", TOKEN, "aW50ZXJh", "pass-word", "c" * 30, "d" * 64, "e" * 64, "wJalr")
    logs.begin(form, "bot", ["own-secret-value", ""], stream=said)
    for name, slip in slips.items():
        logging.getLogger("x").info("%s: %s", name, slip)
    try:
        broken(" ".join(slips.values()))
    except ValueError:
        logging.getLogger("x").exception("all")
    text = said.getvalue()
    assert [secret for secret in hidden if secret in text] == []
    assert text.count(logs.HIDDEN) == 2 * len(slips)
    assert "https://discord.com/api/v10/webhooks/" in text
    assert "X-Amz-Expires=90" in text
    logging.getLogger("x").info("there is no token: make one; max_tokens=5, box http://h:80/a")
    assert "there is no token: make one; max_tokens=5, box http://h:80/a" in said.getvalue()
