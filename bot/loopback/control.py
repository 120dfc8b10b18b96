"""The members' door: `/loopback/...`, JSON over HTTP, for tests, the demo's driver and the chat page.

GET  /loopback/world?as=USER                         who, where, which commands
GET  /loopback/channels/ID/messages?as=USER          what they see there, ephemeral answers to them included
POST /loopback/uploads?as=USER&filename=NAME         the raw bytes of a file -> {"id": ...}
POST /loopback/act {"as": USER, "do": VERB, ...}     acts.VERBS
POST /loopback/direct {"do": VERB, ...}              directions.VERBS: faults, closes, permissions, time
GET  /loopback/events?as=USER&after=N&timeout=S      long poll of what happened
GET  /loopback/{transcript,violations,acknowledgements}
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.loopback import acts, commands, directions, objects, sayings
from bot.loopback.api import INVALID_WINDOW_S
from bot.loopback.calls import Incoming, clean_name
from bot.loopback.failures import Refusal
from bot.loopback.permissions import in_guild
from bot.loopback.routes_messages import page
from bot.loopback.world import DM, PUBLIC_THREAD

if TYPE_CHECKING:
    from bot.loopback.record import Happening
    from bot.loopback.service import Service
    from bot.loopback.world import JSON, Channel, Guild, Message

PIECE_BYTES = 256 * 1024


class ControlRoom:
    """Serves the members' side of a world."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        return [
            web.get("/loopback/world", self.world),
            web.get("/loopback/channels/{channel_id}/messages", self.messages),
            web.get("/loopback/events", self.events),
            web.get("/loopback/{list:transcript|violations|acknowledgements|gateway}", self.lists),
            web.post("/loopback/uploads", self.upload),
            web.post("/loopback/act", self.act),
            web.post("/loopback/direct", self.direct),
        ]

    async def world(self, request: web.Request) -> web.Response:
        """Servers, channels, threads, members and commands that this member sees; everything without `as`."""
        viewer = _viewer(request)
        world = self.service.world
        guilds = [g for g in world.guilds.values() if viewer is None or viewer in g.members]
        dms = [c for c in world.channels.values() if c.kind == DM and (viewer is None or viewer in c.recipients)]
        return web.json_response(
            {
                "bot": objects.user(world.users[world.bot_id]),
                "application_id": str(world.application_id),
                "bot_connected": self.service.gateway.connected,
                "users": [objects.user(u) for u in world.users.values()],
                "guilds": [self._guild(g, viewer) for g in guilds],
                "dms": [objects.channel(world, c) for c in dms],
                "last_event": self.service.record.counted,
                "now": self.service.clock.now(),
                "gateway": {"identifies": self.service.gateway.identifies, "resumes": self.service.gateway.resumes},
                "invalid_requests": self.service.record.invalid_since(self.service.clock.now() - INVALID_WINDOW_S),
                "rate_limits_exceeded": self.service.rates.exceeded,
            }
        )

    def _guild(self, guild: Guild, viewer: int | None) -> JSON:
        world = self.service.world
        places = [*world.guild_channels(guild.id), *world.guild_channels(guild.id, PUBLIC_THREAD)]
        return {
            "id": str(guild.id),
            "name": guild.name,
            "owner_id": str(guild.owner_id),
            "premium_tier": guild.premium_tier,
            "bot_present": world.bot_id in guild.members,
            "channels": [
                objects.channel(world, c, for_user=viewer)
                for c in places
                if viewer is None or self.service.can_see(viewer, c)
            ],
            "members": [objects.member(world, m) for m in guild.members.values()],
            "roles": [objects.role(r) for r in guild.roles.values()],
            "commands": [
                objects.command(world, c)
                for c in commands.available(self.service, guild.id)
                if viewer is None or commands.allowed(c, in_guild(guild, viewer))
            ],
        }

    async def messages(self, request: web.Request) -> web.Response:
        """A page of messages as this member sees them, oldest first."""
        viewer, place = _viewer(request), self.service.channel(int(request.match_info["channel_id"]))
        if viewer is not None and not self.service.can_see(viewer, place):
            raise Refusal(50001)
        shown = [m for m in self.service.world.messages.get(place.id, {}).values() if _visible(m, viewer)]
        limit = min(200, int(request.query.get("limit", "100")))
        return web.json_response([self.seen(m, viewer, place) for m in reversed(page(shown, request.query, limit))])

    def seen(self, said: Message, viewer: int | None, place: Channel) -> JSON:
        """A message as a member sees it, with what the wire form does not say."""
        names = {r.emoji: [str(u) for u in r.user_ids] for r in said.reactions}
        return self.service.wire(said, me=viewer or 0) | {
            "visible_to": str(said.visible_to) if said.visible_to else None,
            "thinking": said.thinking,
            "reacted_by": names,
            "files": [sayings.attachment(a, self.service.link) for a in said.attachments],
            "guild_id": str(place.guild_id) if place.guild_id else None,
        }

    async def events(self, request: web.Request) -> web.Response:
        """What happened after event N and this member may see; waits for the first."""
        viewer, after = _viewer(request), int(request.query.get("after", "0"))
        left = min(float(request.query.get("timeout", "25")), self.service.rules.wait_limit_s)
        ends = self.service.clock.now() + left
        while True:
            found = [h for h in self.service.record.since(after) if self._may_know(h, viewer)]
            left = ends - self.service.clock.now()
            if found or left <= 0:
                last = found[-1].n if found else self.service.record.counted
                return web.json_response({"events": [_happening(h) for h in found], "last": last})
            await self.service.record.wait(max(after, self.service.record.counted), left)

    def _may_know(self, happening: Happening, viewer: int | None) -> bool:
        if viewer is None:
            return True
        if happening.audience is not None:
            return happening.audience == viewer
        place = self.service.world.channels.get(happening.channel_id or 0)
        return place is None or self.service.can_see(viewer, place)

    async def lists(self, request: web.Request) -> web.Response:
        """The transcript, the violations, the acknowledgement times or the gateway's log."""
        kinds = {"transcript": "exchanges"}
        kind = request.match_info["list"]
        if kind == "gateway":
            return web.json_response(list(self.service.record.gateway_log))
        return web.json_response(self.service.record.as_json(kinds.get(kind, kind)))

    async def upload(self, request: web.Request) -> web.Response:
        """Take a member's file; it becomes visible once an act uses it."""
        viewer = _viewer(request)
        if viewer is None or viewer not in self.service.world.users:
            raise Refusal(10013)
        path = self.service.blobs / f"incoming-{secrets.token_hex(8)}"
        size = 0
        try:
            with path.open("wb") as file:
                async for piece in request.content.iter_chunked(PIECE_BYTES):
                    size += len(piece)
                    if size > self.service.rules.member_upload_bytes:
                        raise Refusal(40005)
                    file.write(piece)
            incoming = Incoming(filename=clean_name(request.query.get("filename", "file")), path=path, size=size)
            item = incoming.keep(
                self.service, channel_id=self.service.world.application_id, uploader_id=viewer, ephemeral=True
            )
        finally:
            path.unlink(missing_ok=True)
        return web.json_response(sayings.attachment(item, self.service.link))

    async def act(self, request: web.Request) -> web.Response:
        """A member does something."""
        order = await _order(request)
        verb = acts.VERBS.get(str(order.get("do")))
        user_id = int(order.get("as", 0))
        if verb is None or user_id not in self.service.world.users:
            return web.json_response({"message": "no such verb or member", "code": 0}, status=400)
        return web.json_response(verb(self.service, user_id, order))

    async def direct(self, request: web.Request) -> web.Response:
        """The world itself is changed."""
        order = await _order(request)
        verb = directions.VERBS.get(str(order.pop("do", "")))
        if verb is None:
            return web.json_response({"message": "no such verb", "code": 0}, status=400)
        return web.json_response(verb(self.service, order) or {})


def _viewer(request: web.Request) -> int | None:
    text = request.query.get("as", "")
    return int(text) if text.isdigit() else None


def _visible(said: Message, viewer: int | None) -> bool:
    return viewer is None or (said.visible_to in (None, viewer) and not said.dismissed)


def _happening(item: Happening) -> JSON:
    place = str(item.channel_id) if item.channel_id else None
    return {"n": item.n, "at": item.at, "type": item.type, "channel_id": place, "data": item.data}


async def _order(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":  # a form on a foreign page cannot send this without asking first
        raise web.HTTPUnsupportedMediaType(text="application/json, please")
    order: dict[str, Any] = await request.json()
    return order


@web.middleware
async def refusals(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401  # an aiohttp handler
    """Turn a Refusal into its JSON, and refuse pages of other hosts (DNS rebinding)."""
    host = (request.host or "").rpartition(":")[0] or request.host
    if host not in {"127.0.0.1", "localhost"}:
        return web.Response(status=403, text="this server is for this machine only")
    try:
        response: web.StreamResponse = await handler(request)
    except Refusal as refusal:
        return web.json_response(refusal.body(), status=refusal.status)
    except (KeyError, ValueError, TypeError) as error:
        if not request.path.startswith("/loopback/"):
            raise
        return web.json_response({"message": f"{type(error).__name__}: {error}", "code": 0}, status=400)
    return response
