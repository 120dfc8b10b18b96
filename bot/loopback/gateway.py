"""The gateway: HELLO, IDENTIFY, RESUME with replay, heartbeats, and every way a connection can end.

Source: https://discord.com/developers/docs/events/gateway and the close codes in opcodes-and-status-codes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from bot.loopback import objects, payloads
from bot.loopback.payloads import IDENTIFY, MEMBERS, PRESENCE, RESUME, VOICE, strays
from bot.loopback.service import ALWAYS, GUILDS, MESSAGE_CONTENT
from bot.loopback.sessions import ACK, HEARTBEAT, HELLO, INVALID_SESSION, RECONNECT, Connection, Session
from bot.loopback.snowflakes import iso
from bot.loopback.world import PUBLIC_THREAD, TEXT

if TYPE_CHECKING:
    from bot.loopback.service import Service
    from bot.loopback.world import JSON, Guild

UNKNOWN_OP, DECODE_ERROR, NOT_IDENTIFIED, BAD_TOKEN, TWICE, BAD_SEQUENCE = 4001, 4002, 4003, 4004, 4005, 4007
TOO_FAST, TIMED_OUT, BAD_VERSION, BAD_INTENTS, PRIVILEGED = 4008, 4009, 4012, 4013, 4014
KNOWN_INTENTS = (1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9) | (
    1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25
)
PRIVILEGED_INTENTS = 1 << 1 | 1 << 8
MAX_FRAME_BYTES, MAX_FRAMES, FRAME_WINDOW_S = 4096, 120, 60.0
KILLS_SESSION = frozenset({1000, 1001})
ZLIB = "zlib-stream"


class Gateway:
    """All sessions of the one bot."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.identified_at = float("-inf")
        self.refuse_handshakes = 0
        self.silent_handshakes = 0
        self.identifies = 0
        self.resumes = 0

    # -- outward

    def dispatch(self, event: str, data: JSON, *, intent: int = ALWAYS, without_content: JSON | None = None) -> None:
        """Send an event to every session that asked for its kind."""
        self._forget_old()
        for session in self.sessions.values():
            if intent and not session.intents & intent:
                continue
            blank = without_content is not None and not session.intents & MESSAGE_CONTENT
            session.dispatch(event, without_content if blank and without_content is not None else data)

    def reconnect(self) -> None:
        """Ask every client to come back (op 7)."""
        for connection in self.connections:
            connection.send(RECONNECT)

    def invalidate(self, *, resumable: bool) -> None:
        """Tell every client that its session is over (op 9); not resumable means that its events are lost."""
        if not resumable:
            self.sessions.clear()
        for connection in self.connections:
            connection.send(INVALID_SESSION, resumable)

    def close(self, code: int) -> None:
        """Close every connection with a code."""
        for connection in self.connections:
            connection.close(code)

    def beat(self) -> None:
        """Ask every client for a heartbeat (op 1)."""
        for connection in self.connections:
            connection.send(HEARTBEAT)

    def abort(self) -> None:
        """Tear the connections without a word."""
        for connection in list(self.connections):
            transport = connection.socket.get_extra_info("transport") or connection.socket._req.transport  # type: ignore[union-attr]  # noqa: SLF001  # aiohttp offers no public way to reset a websocket
            if transport is not None:
                transport.abort()

    @property
    def connected(self) -> bool:
        """Whether an identified client is listening now."""
        return any(s.connection is not None for s in self.sessions.values())

    # -- inward

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One websocket from handshake to end."""
        if self.refuse_handshakes > 0:
            self.refuse_handshakes -= 1
            return web.Response(status=503, text="the gateway is away")
        socket = web.WebSocketResponse(max_msg_size=1 << 20, compress=False, autoping=True)
        await socket.prepare(request)
        if request.query.get("v") != "10" or request.query.get("encoding", "json") != "json":
            self._violate("query", f"gateway asked for {dict(request.query)}")
            await socket.close(code=BAD_VERSION)
            return socket
        compress = request.query.get("compress")
        if compress not in (None, ZLIB):
            self._violate("compress", f"this server cannot pack as {compress}; it speaks {ZLIB} or plain text")
            await socket.close(code=DECODE_ERROR)
            return socket
        connection = Connection(
            socket=socket,
            compressed=compress == ZLIB,
            rules=self.service.rules,
        )
        await self._live(connection)
        return socket

    async def _live(self, connection: Connection) -> None:
        self.connections.add(connection)
        pump = asyncio.create_task(connection.pump())
        try:
            if self.silent_handshakes > 0:
                self.silent_handshakes -= 1
            else:
                connection.send(HELLO, {"heartbeat_interval": self.service.rules.heartbeat_ms, "_trace": []})
            await self._listen(connection)
        finally:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump
            self.connections.discard(connection)
            self._lose(connection)

    async def _listen(self, connection: Connection) -> None:
        arrived: deque[float] = deque(maxlen=MAX_FRAMES)
        patience_s = self.service.rules.heartbeat_ms / 1000 * 2 + 5
        while not connection.socket.closed:
            try:
                frame = await connection.socket.receive(timeout=patience_s)
            except TimeoutError:
                await connection.socket.close(code=TIMED_OUT)
                return
            if frame.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            code = self._admit(frame.data, arrived) or self._hear(connection, frame.data)
            if code is not None:
                connection.close(code)

    def _admit(self, text: Any, arrived: deque[float]) -> int | None:  # noqa: ANN401
        now = time.monotonic()
        arrived.append(now)
        if not isinstance(text, str) or len(text.encode()) > MAX_FRAME_BYTES:
            return DECODE_ERROR
        if len(arrived) == MAX_FRAMES and now - arrived[0] < FRAME_WINDOW_S:
            return TOO_FAST
        return None

    def _hear(self, connection: Connection, text: str) -> int | None:
        """Act on one client payload; a number is the code to close with."""
        try:
            payload = json.loads(text)
            op, data = payload["op"], payload.get("d")
        except (ValueError, KeyError, TypeError):
            return DECODE_ERROR
        self.service.record.gateway_log.append({"at": self.service.clock.now(), "op": op})
        for path in strays(payload):
            self._violate(path, f"Discord knows no such key in a payload with op {op}")
        if op == payloads.HEARTBEAT:
            asyncio.get_running_loop().call_later(self.service.rules.ack_after_s, connection.send, ACK)
            return None
        session = self._session_of(connection)
        if op == IDENTIFY:
            return TWICE if session else self._identify(connection, data)
        if op == RESUME:
            return TWICE if session else self._resume(connection, data)
        if op in (PRESENCE, VOICE, MEMBERS):
            return None if session else NOT_IDENTIFIED
        return UNKNOWN_OP

    def _identify(self, connection: Connection, data: JSON) -> int | None:
        if data.get("token", "").removeprefix("Bot ") != self.service.world.token:
            return BAD_TOKEN
        intents = data.get("intents")
        if not isinstance(intents, int) or intents & ~KNOWN_INTENTS:
            return BAD_INTENTS
        if intents & PRIVILEGED_INTENTS or (intents & MESSAGE_CONTENT and not self.service.rules.message_content):
            return PRIVILEGED
        now = time.monotonic()
        if now - self.identified_at < self.service.rules.identify_gap_s:
            connection.send(INVALID_SESSION, False)
            return None
        self.identified_at = now
        self.identifies += 1
        session = Session(id=secrets.token_hex(16), intents=intents, connection=connection)
        self.sessions[session.id] = session
        self._greet(session)
        return None

    def _greet(self, session: Session) -> None:
        world = self.service.world
        ready: JSON = {
            "v": 10,
            "user": objects.own_user(world.users[world.bot_id]),
            "guilds": [{"id": str(g.id), "unavailable": True} for g in world.bot_guilds()],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "application": {"id": str(world.application_id), "flags": 0},
            "private_channels": [],
            "relationships": [],
            "_trace": [],
        }
        self.service.check_event("READY", ready)
        session.dispatch("READY", ready)
        for guild in world.bot_guilds():
            if session.intents & GUILDS and not guild.unavailable:
                session.dispatch("GUILD_CREATE", self.guild_create(guild))

    def guild_create(self, guild: Guild) -> JSON:
        """GUILD_CREATE: the server with its channels, threads and members; only the bot is a member without intent."""
        world, me = self.service.world, self.service.world.bot_id
        threads = [t for t in world.guild_channels(guild.id, PUBLIC_THREAD) if t.thread and not t.thread.archived]
        body = objects.guild(guild) | {
            "joined_at": iso(guild.members[me].joined_at),
            "large": False,
            "unavailable": False,
            "member_count": len(guild.members),
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
            "members": [objects.member(world, guild.members[me])],
            "channels": [objects.channel(world, c) for c in world.guild_channels(guild.id, TEXT)],
            "threads": [objects.channel(world, t) for t in threads if self.service.can_see(me, t)],
        }
        self.service.check_event("GUILD_CREATE", body)
        return body

    def _resume(self, connection: Connection, data: JSON) -> int | None:
        self._forget_old()
        if data.get("token", "").removeprefix("Bot ") != self.service.world.token:
            return BAD_TOKEN
        session = self.sessions.get(data.get("session_id", ""))
        if session is None:
            connection.send(INVALID_SESSION, False)
            return None
        sequence = data.get("seq") or 0
        if sequence > session.sequence:
            return BAD_SEQUENCE
        if session.connection is not None:
            session.connection.close(4000)
        session.connection, session.lost_at = connection, None
        if not session.replay(sequence):
            del self.sessions[session.id]
            connection.send(INVALID_SESSION, False)
            return None
        self.resumes += 1
        session.dispatch("RESUMED", {"_trace": []})
        return None

    def _session_of(self, connection: Connection) -> Session | None:
        return next((s for s in self.sessions.values() if s.connection is connection), None)

    def _lose(self, connection: Connection) -> None:
        session = self._session_of(connection)
        if session is None:
            return
        session.connection, session.lost_at = None, self.service.clock.now()
        by_client = connection.close_code is None and connection.socket.close_code in KILLS_SESSION
        if by_client:
            del self.sessions[session.id]

    def _forget_old(self) -> None:
        limit = self.service.clock.now() - self.service.rules.session_life_s
        for session in [s for s in self.sessions.values() if s.lost_at is not None and s.lost_at < limit]:
            del self.sessions[session.id]

    def _violate(self, path: str, message: str) -> None:
        self.service.record.violate(where="gateway", route="GET /gateway", path=path, message=message)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return self.service.origin.replace("http://", "ws://", 1) + "/gateway"
