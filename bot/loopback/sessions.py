"""Gateway sessions: what was sent under which number, so that a client that comes back hears what it missed."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

    from bot.loopback.rules import Rules
    from bot.loopback.world import JSON

DISPATCH, HEARTBEAT, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 7, 9, 10, 11
KEPT_EVENTS = 5_000
FLUSHED = b"\x00\x00\xff\xff"


@dataclass(kw_only=True, eq=False)
class Connection:
    """One websocket. Frames leave in order through a queue, so that a verb of the world never waits for a socket."""

    socket: web.WebSocketResponse
    compressed: bool
    rules: Rules
    queue: asyncio.Queue[str | int] = field(default_factory=asyncio.Queue)  # a number closes with that code
    deflater: Any = field(default_factory=zlib.compressobj)
    close_code: int | None = None

    def send(self, op: int, data: Any = None, *, sequence: int | None = None, event: str | None = None) -> None:  # noqa: ANN401
        """Queue one payload."""
        self.queue.put_nowait(json.dumps({"op": op, "d": data, "s": sequence, "t": event}))

    def close(self, code: int) -> None:
        """Queue a close behind what is already queued."""
        self.queue.put_nowait(code)

    async def pump(self) -> None:
        """Write the queue to the socket until it closes."""
        while True:
            item = await self.queue.get()
            if isinstance(item, int):
                self.close_code = item
                await self.socket.close(code=item)
                return
            await asyncio.sleep(self.rules.event_delay_s)
            await self._write(item)

    async def _write(self, text: str) -> None:
        try:
            if not self.compressed:
                await self.socket.send_str(text)
                return
            packed = self.deflater.compress(text.encode()) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
            for piece in cut(packed, self.rules.zlib_pieces):
                await self.socket.send_bytes(piece)
        except ConnectionError:
            return  # the peer is gone; the reader notices


def cut(packed: bytes, pieces: int) -> list[bytes]:
    """A compressed message in at most so many frames. The last one holds the four bytes of the flush whole: clients know the
    end of a message by them, and look at one frame only (https://discord.com/developers/docs/events/gateway#zlibstream).
    """
    size = max(1, -(-len(packed) // pieces))
    ends = [end for end in range(size, len(packed), size) if end <= len(packed) - len(FLUSHED)]
    return [packed[a:b] for a, b in zip([0, *ends], [*ends, len(packed)], strict=True)]


@dataclass(kw_only=True, eq=False)
class Session:
    """An identified client, connected or within its time to come back."""

    id: str
    intents: int
    sequence: int = 0
    sent: deque[tuple[int, str, JSON]] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    connection: Connection | None = None
    lost_at: float | None = None

    def dispatch(self, event: str, data: JSON) -> None:
        """Number an event, keep it, and send it if someone listens."""
        self.sequence += 1
        self.sent.append((self.sequence, event, data))
        if self.connection is not None:
            self.connection.send(DISPATCH, data, sequence=self.sequence, event=event)

    def redeliver(self, event: str) -> bool:
        """Send the last event of a kind once more, as Discord may after trouble of its own."""
        found = next((d for _, e, d in reversed(self.sent) if e == event), None)
        if found is not None:
            self.dispatch(event, found)
        return found is not None

    def replay(self, after: int) -> bool:
        """Send again what came after a number; False when that is no longer known."""
        if self.sent and self.sent[0][0] > after + 1:
            return False
        assert self.connection is not None  # noqa: S101  # the caller has just attached one
        for sequence, event, data in self.sent:
            if sequence > after:
                self.connection.send(DISPATCH, data, sequence=sequence, event=event)
        return True
