"""What the programs say of themselves on stderr: for eyes, or one JSON object a line for a collector. One set-up for all of them.

The GPU child has no log of its own: its words reach the worker's. Secrets never get through, whoever logged them: the program's
own are known by their value, others by their look.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Literal

Form = Literal["text", "json"]
HIDDEN = "***"
_ORDER: ContextVar[str] = ContextVar("order", default="")
_SECRET = re.compile(
    r"[MNO][\w-]{20,30}\.[\w-]{5,7}\.[\w-]{25,}"  # a bot's token: https://discord.com/developers/docs/reference#authentication
    r"|hf_[A-Za-z0-9]{20,}"
    r"|(?<=/webhooks/)(?:\d+/)[\w-]{20,}"  # the token of an interaction, in the address of its reply
    r"|(?<=/interactions/)(?:\d+/)[\w-]{20,}"
    r"|(?<=://)[^\s/:@]*:[^\s/]+(?=@)"  # of a database
    r"|(?<=[?&]s=)[0-9a-f]{64}"  # the signature of a download link
)
_NAME = r"(?:token|password|secret|secret_access_key|x-amz-signature|x-amz-credential)"
_NAMED = re.compile(rf"(?i)({_NAME}(?:[\"']\s*:\s*|[\"']?=)[\"'])[^\"']+|({_NAME}=)[^\s\"'&]+")
"""What a name gives away: in JSON, in a mapping or call as Python shows it, in a setting, in an address."""
OWN = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Variables that no settings hold and every program may have: https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html."""
SHORTEST = 8
"""A shorter value of these is none, and would hide words."""
QUIET = ("alembic", "aiohttp.access", "httpx2", "httpx")
"""Libraries that say a line for every ordinary thing."""


@contextmanager
def about(order_id: str) -> Iterator[None]:
    """What is logged inside is about this order."""
    before = _ORDER.set(order_id)
    try:
        yield
    finally:
        _ORDER.reset(before)


def begin(form: Form, program: str, secrets: Iterable[str] = (), stream: IO[str] | None = None) -> None:
    """Set the process's log up; once, where its settings are known. `secrets`, and a store's key, are hidden wherever they are."""
    handler = logging.StreamHandler(stream or sys.stderr)
    kind = Lines if form == "json" else Words
    own = (value for name in OWN if len(value := os.environ.get(name, "")) >= SHORTEST)
    handler.setFormatter(kind(program, [*secrets, *own]))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class Words(logging.Formatter):
    """For eyes."""

    def __init__(self, program: str, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.program = program
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        """Without secrets, those in a traceback too."""
        return self._plain(super().format(record))

    def _plain(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _NAMED.sub(rf"\1\2{HIDDEN}", _SECRET.sub(HIDDEN, text))


class Lines(Words):
    """For a collector: `at` (UTC), `level`, `program`, `from`, `says`, and where there are any `order` and `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in it."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "program": self.program,
            "from": record.name,
            "says": self._plain(record.getMessage()),
        }
        if order := _ORDER.get():
            line["order"] = order
        if record.exc_info:
            line["error"] = self._plain(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)
