"""The REST door: every call passes fault, authentication, rate limit and contract, is served, checked and recorded."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.loopback import routes_interactions, routes_messages, routes_places
from bot.loopback.calls import Call, Route, discard, read
from bot.loopback.failures import Refusal, error_tree, invalid
from bot.loopback.faults import cut
from bot.loopback.rates import too_many
from bot.loopback.record import Exchange

if TYPE_CHECKING:
    from bot.loopback.calls import Incoming
    from bot.loopback.contract import Operation
    from bot.loopback.faults import Fault
    from bot.loopback.service import Service

PREFIX = "/api/v10"
AGENT = re.compile(r"DiscordBot \(\S+,? ?\S+\).*")
ROUTES: tuple[Route, ...] = (*routes_places.ROUTES, *routes_messages.ROUTES, *routes_interactions.ROUTES)
INVALID = frozenset({401, 403, 429})
INVALID_WINDOW_S = 600.0
"""https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans"""
WRONG_FORM = frozenset({50035, 50006})
MAJOR = ("channel_id", "guild_id", "webhook_id")
ONLY_NUMBERS = re.compile(r"\d{1,20}")


@dataclass(kw_only=True)
class Visit:
    """A call on its way through the door."""

    request: web.Request
    route: Route
    operation: Operation
    arrived_at: float
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    files: dict[int, Incoming] = field(default_factory=dict)
    media_type: str = ""
    status: int = 0
    reply: Any = None
    violated: bool = False

    @property
    def name(self) -> str:
        """The route in one word, as faults and records name it."""
        return f"{self.route.method} {self.route.template}"


class Door:
    """Serves the routes of the contract that the loopback knows; any other is recorded and refused."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application; the last one catches everything unknown."""
        known = [web.route(r.method, PREFIX + r.template, self._handler(r)) for r in _specific_first()]
        return [*known, web.route("*", "/api/{tail:.*}", self._unknown)]

    def _handler(self, route: Route) -> Any:  # noqa: ANN401  # an aiohttp handler
        operation = self.service.contract.operation(route.method, route.template)
        if operation is None:
            raise LookupError(f"the contract has no {route.method} {route.template}")

        async def handle(request: web.Request) -> web.StreamResponse:
            now = self.service.clock.now()
            return await self._serve(Visit(request=request, route=route, operation=operation, arrived_at=now))

        return handle

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(PREFIX)
        why = "known to the contract, not to the loopback" if self.service.contract.knows_path(path) else "unknown"
        self.service.record.violate(where="route", route=f"{request.method} {path}", path="", message=f"{why} route")
        return _response(404, {"message": "404: Not Found", "code": 0}, {})

    async def _serve(self, visit: Visit) -> web.StreamResponse:
        if self.service.record.invalid_since(visit.arrived_at - INVALID_WINDOW_S) >= self.service.rules.invalid_limit:
            return web.Response(status=429, text="<html>error code: 1015</html>", content_type="text/html")
        fault = self.service.faults.take(visit.route.method, visit.route.template)
        if fault is not None and fault.when == "before":
            await asyncio.sleep(fault.delay_s)
            if fault.fails:
                return self._fail(visit, fault)
        try:
            visit.status, visit.reply = await self._carry_out(visit)
        except Refusal as refusal:
            visit.status, visit.reply = refusal.status, refusal.body()
            if refusal.code in WRONG_FORM and not visit.violated:
                self._violate(visit, "request", "", f"{refusal.text} {json.dumps(refusal.errors or {})}")
        for problem in self.service.contract.reply_problems(visit.operation, status=visit.status, body=visit.reply):
            self._violate(visit, "reply", problem.path, problem.message)
        self._record(visit)
        if fault is not None and fault.when == "after":
            await asyncio.sleep(fault.delay_s)
            if fault.fails:
                return self._fail(visit, fault)
        return _response(visit.status, visit.reply, visit.headers)

    async def _carry_out(self, visit: Visit) -> tuple[int, Any]:
        self._authorise(visit)
        ids, names = _path(visit.request)
        if not self._within_rate(visit, next((str(ids[k]) for k in MAJOR if k in ids), "")):
            return 429, visit.reply
        visit.body, visit.files, visit.media_type = await read(visit.request, self.service)
        try:
            self._check_request(visit)
            call = Call(
                service=self.service,
                ids=ids,
                names=names,
                query=visit.request.query,
                body=visit.body,
                files=visit.files,
                arrived_at=visit.arrived_at,
            )
            return visit.route.serve(call)
        finally:
            discard(visit.files)

    def _within_rate(self, visit: Visit, major: str) -> bool:
        passes, headers, left_s = self.service.rates.take(
            visit.route.method, visit.route.template, major, self.service.rules.default_rate
        )
        visit.headers |= headers
        if not passes:
            visit.reply, extra = too_many(left_s)
            visit.headers |= extra
        return passes

    def _authorise(self, visit: Visit) -> None:
        if not visit.route.authorised:
            return
        if not AGENT.fullmatch(visit.request.headers.get("User-Agent", "")):
            self._violate(visit, "request", "User-Agent", "must be DiscordBot (url, version)")
        if visit.request.headers.get("Authorization") != f"Bot {self.service.world.token}":
            raise Refusal(0)

    def _check_request(self, visit: Visit) -> None:
        problems = self.service.contract.request_problems(
            visit.operation, query=visit.request.query, body=visit.body, files=len(visit.files)
        )
        for problem in problems:
            self._violate(visit, "request", problem.path, problem.message)
        if visit.body is not None and visit.media_type not in {"application/json", "multipart/form-data"}:
            raise invalid("", f"Content-Type is {visit.media_type}")
        if problems:
            raise Refusal(50035, errors=error_tree([(p.path, p.message) for p in problems]))

    def _violate(self, visit: Visit, where: str, path: str, message: str) -> None:
        visit.violated = visit.violated or where == "request"
        self.service.record.violate(where=where, route=visit.name, path=path, message=message)

    def _fail(self, visit: Visit, fault: Fault) -> web.StreamResponse:
        visit.status, visit.reply = 0 if fault.drop else fault.status or 500, fault.body
        self._record(visit, note=f"fault {fault.when}")
        if fault.drop:
            return cut(visit.request)
        if isinstance(fault.body, str):
            return web.Response(status=visit.status, text=fault.body, content_type="text/html", headers=fault.headers)
        body = fault.body if fault.body is not None else {"message": "a scripted fault", "code": 0}
        response = _response(visit.status, body, fault.headers)
        if not fault.via:
            del response.headers["Via"]
        return response

    def _record(self, visit: Visit, *, note: str = "") -> None:
        record = self.service.record
        record.exchanged += 1
        if visit.status in INVALID:
            record.invalid_at.append(visit.arrived_at)
        record.exchanges.append(
            Exchange(
                n=record.exchanged,
                at=visit.arrived_at,
                method=visit.route.method,
                route=visit.name,
                path=_without_tokens(visit.request),
                query=dict(visit.request.query),
                body=visit.body,
                files=[f"{f.filename} ({f.size} bytes)" for f in visit.files.values()],
                status=visit.status,
                reply=visit.reply,
                seconds=self.service.clock.now() - visit.arrived_at,
                note=note,
            )
        )


def _specific_first() -> list[Route]:
    """`@me` and `@original` before the parameters that would swallow them."""
    return sorted(ROUTES, key=lambda r: r.template.count("{"))


def _path(request: web.Request) -> tuple[dict[str, int], dict[str, str]]:
    ids, names = {}, {}
    for key, value in request.match_info.items():
        if not key.endswith("_id"):
            names[key] = value
        elif ONLY_NUMBERS.fullmatch(value):
            ids[key] = int(value)
        else:
            raise invalid(key, f'Value "{value[:50]}" is not snowflake.')
    return ids, names


def _without_tokens(request: web.Request) -> str:
    path = request.path.removeprefix(PREFIX)
    for key in ("interaction_token", "webhook_token"):
        if key in request.match_info:
            path = path.replace(request.match_info[key], "-token-")
    return path


def _response(status: int, body: Any, headers: dict[str, str]) -> web.Response:  # noqa: ANN401
    """JSON with exactly the headers discord.py needs: an exact media type, and Via on every answer."""
    headers = {"Via": "1.1 google", **headers}
    if body is None:
        return web.Response(status=status, headers=headers)
    return web.Response(
        status=status, body=json.dumps(body).encode(), headers={"Content-Type": "application/json", **headers}
    )
