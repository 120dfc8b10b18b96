"""Who is alive: the one bot and every worker. Whoever does not beat for a whole lease counts as dead.

On PostgreSQL the server's clock decides, so that machines need not agree on the time.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlmodel import Session, col, select

from storage.domain.errors import MixedSetup, SecondBot
from storage.settings import StorageSettings
from storage.switches import insert_if_new
from storage.tables import Lease, now

BOT = "bot"
Kind = Literal["bot", "worker"]


@cache
def machine() -> str:
    """Equal for all processes on one kernel, containers included: what SQLite and a folder can be shared within."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def beat(
    session: Session,
    name: str,
    holder: str,
    kind: Kind,
    lease_s: float,
    *,
    detail: Mapping[str, object] | None = None,
) -> Lease:
    """Say that this process is alive, for another `lease_s`. Raises `SecondBot` where somebody else holds this name."""
    at = _clock(session)
    fresh = Lease(name=name, holder=holder, kind=kind, expires_at=at, since=at)
    insert_if_new(session, Lease, **fresh.model_dump())
    lease = _locked(session, name)
    if lease.holder != holder:
        if lease.expires_at > at:
            raise _second(lease)
        lease.since = at
    lease.holder, lease.kind, lease.host, lease.machine = holder, kind, socket.gethostname(), machine()
    lease.expires_at = at + timedelta(seconds=lease_s)
    lease.detail_json = json.dumps(dict(detail or {}), sort_keys=True)
    return lease


def take_bot_lease(session: Session, holder: str, lease_s: float) -> Lease:
    """Become, or stay, the one bot of this database. Raises `SecondBot`, saying who holds it."""
    return beat(session, BOT, holder, "bot", lease_s)


def _second(lease: Lease) -> SecondBot:
    return SecondBot(
        f"Another bot is running on this database: {lease.holder} on {lease.host}, since "
        f"{lease.since:%Y-%m-%d %H:%M} UTC. One database has one bot; stop that one first."
    )


def expired(session: Session) -> Sequence[Lease]:
    """The workers that have not said that they are alive for a whole lease."""
    return session.exec(select(Lease).where(Lease.kind == "worker", col(Lease.expires_at) <= _clock(session))).all()


def workers(session: Session) -> Sequence[Lease]:
    """The living workers."""
    return session.exec(
        select(Lease).where(Lease.kind == "worker", col(Lease.expires_at) > _clock(session)).order_by(col(Lease.name))
    ).all()


def living_bot(session: Session) -> Lease | None:
    """The bot that runs; None where none does."""
    return session.exec(select(Lease).where(Lease.name == BOT, col(Lease.expires_at) > _clock(session))).first()


def drop(session: Session, name: str, holder: str | None = None) -> None:
    """Give a lease up; with `holder` only if that one still holds it."""
    lease = _locked_or_none(session, name)
    if lease is not None and holder in (None, lease.holder):
        session.delete(lease)


def refuse_mixed(session: Session, settings: StorageSettings) -> None:
    """Raise `MixedSetup` where the database or the artifacts are a file on one machine and another machine works here."""
    if not settings.on_sqlite and settings.artifacts_folder is None:
        return
    elsewhere = session.exec(
        select(Lease).where(col(Lease.expires_at) > _clock(session), Lease.machine != machine())
    ).first()
    if elsewhere is not None:
        what = "SQLite" if settings.on_sqlite else f"A folder of artifacts ({settings.artifacts_folder})"
        raise MixedSetup(
            f"{what} means one machine, but {elsewhere.kind} {elsewhere.holder} runs on {elsewhere.host}. "
            "Several machines need LORASMITH_DATABASE_URL=postgresql://... and LORASMITH_ARTIFACTS_URL=s3://..."
        )


def drop_expired(session: Session, name: str) -> None:
    """Drop a lease unless its holder has come back to life in the meantime."""
    lease = _locked_or_none(session, name)
    if lease is not None and lease.expires_at <= _clock(session):
        session.delete(lease)


class Fence:
    """For a worker: how long its last beat still protects it. Once `lost`, it must stop its child before others take over.

    Counted from the instant before the beat was sent, on the monotonic clock: a sleeping machine or a database that hangs
    makes the fence fall, never stand too long.
    """

    def __init__(self, lease_s: float) -> None:
        self.lease_s = lease_s
        self._sent = _awake()

    def sending(self) -> float:
        """The instant before a beat is sent; hand it to `beaten` once the beat is committed."""
        return _awake()

    def beaten(self, sent: float) -> None:
        """The beat that was sent then is committed."""
        self._sent = max(self._sent, sent)

    @property
    def left_s(self) -> float:
        """Seconds until others may take this worker for dead."""
        return self._sent + self.lease_s - _awake()

    @property
    def lost(self) -> bool:
        """Whether others may have taken this worker for dead."""
        return self.left_s <= 0


def _awake() -> float:
    """Monotonic seconds, sleep of the machine included where the system tells."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def holder_name(what: str) -> str:
    """A name for this process that no other one has: host, purpose, process, and when it began."""
    return f"{socket.gethostname()}:{what}:{os.getpid()}:{time.time_ns() // 1_000_000:x}"


def _clock(session: Session) -> datetime:
    if session.get_bind().dialect.name == "sqlite":
        return now()
    stamp: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return stamp


def _locked(session: Session, name: str) -> Lease:
    lease = _locked_or_none(session, name)
    if lease is None:
        raise LookupError(name)
    return lease


def _locked_or_none(session: Session, name: str) -> Lease | None:
    return session.exec(
        select(Lease).where(Lease.name == name).with_for_update().execution_options(populate_existing=True)
    ).first()
