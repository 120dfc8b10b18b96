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
def test_no_secret_gets_through_in_words_arguments_or_tracebacks(form: logs.Form, said: io.StringIO) -> None:
    slips = {
        "the value": "own-secret-value",
        "a token": TOKEN,
        "a reply's address": "https://discord.com/api/v10/webhooks/123/"
        + "aW50ZXJhY3Rpb24" * 4
        + "/messages/@original",
        "an event": str({"t": "INTERACTION_CREATE", "token": "aW50ZXJhY3Rpb246" * 2}),
        "a database": "postgresql://lora:pass-word@db/lorasmith",
        "a hub's": "hf_" + "c" * 30,
        "a link": "https://x/files/a/2/lora?m=1&e=2&s=" + "d" * 64,
    }
    hidden = ("own-secret", TOKEN, "aW50ZXJh", "pass-word", "c" * 30, "d" * 64)
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
