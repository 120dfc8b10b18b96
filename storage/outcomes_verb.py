# ruff: noqa: T201  # it talks to the operator's terminal
"""`lorasmith outcomes`: what was learned from votes, from how much, and how it changed; and the operator's say in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from sqlmodel import Session

from storage import outcomes, words_outcomes
from storage.database import Database, require_current
from storage.domain.choice import PSEUDO_VOTES
from storage.domain.errors import SetupError
from storage.domain.learned import evidence
from storage.domain.orders import SubjectType
from storage.domain.taste import usual_taste
from storage.options import Options
from storage.settings import StorageSettings, wrong_settings

SAYS = (
    "Show what members' votes taught: how much likeness, variety and leakage count for each kind of subject, and how the recipes' "
    "steps and learning rates changed. Only numbers are kept for it; no name, word or picture of an order."
)


def run(arguments: Sequence[str]) -> int:
    """Do it and say so; exit code 2 where the set-up is wrong."""
    parser = Options("outcomes", SAYS)
    parser.add_argument(
        "deed",
        nargs="?",
        choices=["freeze", "thaw", "reset"],
        help="freeze: learn no more, and use what was learned as it is; thaw: learn again, also from the ballots of meanwhile; "
        "reset: forget what was learned, keep the ballots, and count only those that close from now on",
    )
    parser.add_argument("--json", action="store_true", help="everything as JSON, with the whole history")
    given = parser.parse_args(arguments)
    try:
        settings = StorageSettings()
        database = Database(settings)
        try:
            require_current(database)
            with database.session() as session:
                print(_done(session, given.deed, as_json=given.json))
        finally:
            database.close()
    except ValidationError as error:
        return _refuse("\n".join(wrong_settings(error)))
    except SetupError as error:
        return _refuse(str(error))
    return 0


def _done(session: Session, deed: str | None, *, as_json: bool) -> str:
    said = _deed(session, deed)
    if as_json:
        return json.dumps(report(session), indent=2)
    return said or _table(session)


def _deed(session: Session, deed: str | None) -> str:
    if deed == "freeze":
        outcomes.freeze(session)
        return "Frozen: what was learned is used as it is. Ballots are still kept, for `lorasmith outcomes thaw`."
    if deed == "thaw":
        row = outcomes.thaw(session)
        learned = f" Revision {row.number} was learned from what was kept meanwhile." if row else ""
        return f"Thawed: every ballot that closes is learned from.{learned}"
    if deed == "reset":
        row = outcomes.reset(session)
        frozen = " Learning is still frozen." if outcomes.is_frozen(session) else ""
        return (
            f"Reset: recipes and judgements are as the program comes with them (revision {row.number}). The ballots are kept; "
            f"those that close after {words_outcomes.instant(row.made_at)} count.{frozen}"
        )
    return ""


def _table(session: Session) -> str:
    rows = outcomes.revisions(session)
    ballots = outcomes.closed_ballots(session, rows[-1].since if rows else None)
    return words_outcomes.table(
        revisions=rows,
        values=outcomes.known(session).values,
        found=evidence(ballots),
        ballots=len(ballots),
        frozen=outcomes.is_frozen(session),
    )


def report(session: Session) -> dict[str, Any]:
    """The same for programs: what is in use, from how many ballots, and every revision."""
    rows, used = outcomes.revisions(session), outcomes.known(session)
    ballots = outcomes.closed_ballots(session, rows[-1].since if rows else None)
    found = evidence(ballots)
    before = [None, *rows[:-1]]
    return {
        "revision": used.number,
        "frozen": outcomes.is_frozen(session),
        "since": rows[-1].since.isoformat() if rows and rows[-1].since else None,
        "ballots": len(ballots),
        "pseudo_votes": PSEUDO_VOTES,
        "tastes": {
            kind.value: {
                "usual": asdict(usual_taste(kind)),
                "used": asdict(used.values.tastes.get(kind, usual_taste(kind))),
                "ballots": found.tastes[kind],
            }
            for kind in SubjectType
        },
        "doses": [
            {"base": base, "subject": kind.value, **asdict(dose), "ballots": found.doses[base, kind]}
            for (base, kind), dose in sorted(used.values.doses.items())
        ],
        "history": [
            {
                "revision": row.number,
                "made_at": row.made_at.isoformat(),
                "because": row.because,
                "ballots": row.outcomes,
                "changes": words_outcomes.changes_of(old, row),
                "values": json.loads(row.values_json),
            }
            for old, row in zip(before, rows, strict=True)
        ],
    }


def _refuse(why: str) -> int:
    print(f"lorasmith: {why}", file=sys.stderr)
    return 2
