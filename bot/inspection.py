"""The bot's half of `lorasmith doctor`: token, application, clock, permissions by channel, port, public address."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from pydantic import ValidationError

from bot.invitation import invite_link
from bot.questions import Questions, Reply
from bot.server_inspection import servers
from bot.settings import BotSettings
from storage.domain.inspection import Remark, note, ok, to_json, wrong
from storage.settings import wrong_settings

PORTAL = "https://discord.com/developers/applications"
CLOCK_OFF_S, CLOCK_BAD_S = 3.0, 30.0
FEW_STARTS = 20
"""Discord lets a bot log in 1000 times a day and then takes its token away."""
PUBLIC_S = 15.0


async def inspected(settings: BotSettings) -> list[Remark]:
    """Everything; Discord is asked in order, because each answer needs the one before it."""
    async with aiohttp.ClientSession() as session:
        web_part, discord_part = await asyncio.gather(_pages(settings, session), _discord(settings, session))
    return [*discord_part, *web_part]


async def _discord(settings: BotSettings, session: aiohttp.ClientSession) -> list[Remark]:
    shape = token_shape(settings.token.get_secret_value())
    if shape is not None:
        return [shape]
    ask = Questions(session, settings)
    try:
        me = await ask.get("/users/@me")
        if me.status != 200:
            return [_refused(me)]
        found = [ok("token", f"Discord knows it: {me.body['username']}"), _clock(me)]
        application = await ask.get("/oauth2/applications/@me")
        found += _application(application)
        found += _starts(await ask.get("/gateway/bot"))
        return found + await servers(ask, settings, str(me.body["id"]), int(application.body["id"]))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        says = f"{settings.discord_url} cannot be reached: {type(error).__name__}"
        return [
            wrong(
                "discord", says, "Look at this machine's network, name server, proxy and firewall: port 443, outwards."
            )
        ]
    except (ValueError, KeyError, TypeError) as error:
        return [wrong("discord", f"an answer that Discord does not give: {error!r}", "Look for a proxy in between.")]


def token_shape(token: str) -> Remark | None:
    """What was pasted instead of the token, as far as its look tells. Nothing of it is repeated."""
    where = f"Copy it anew: {PORTAL} -> your application -> Bot -> Reset Token, into LORASMITH_TOKEN in .env."
    if not token:
        return wrong("token", "there is none", where)
    if token != token.strip() or token[:1] in "\"'" or token.lower().startswith("bot "):
        return wrong("token", "it has quotes, blanks or the word Bot around it", "Write the bare token into .env.")
    if len(token) == 64 and all(c in "0123456789abcdef" for c in token):
        return wrong("token", "this is the application's public key, not the bot's token", where)
    if token.isdigit():
        return wrong("token", "this is an id, not the bot's token", where)
    if token.count(".") != 2:
        return wrong("token", "a bot's token has three parts with dots between; this may be the client secret", where)
    return None


def _refused(reply: Reply) -> Remark:
    if reply.status == 401:
        return wrong(
            "token", "Discord does not know it (any more)", f"Reset it at {PORTAL} -> Bot, and put it into .env."
        )
    return wrong("discord", f"it answers with {reply.status}", "Try again in some minutes: https://discordstatus.com")


def _clock(reply: Reply) -> Remark:
    if reply.skew_s is None:
        return note("clock", "Discord did not say the time")
    off = abs(reply.skew_s)
    says = f"this machine is {off:.0f} s {'ahead of' if reply.skew_s > 0 else 'behind'} Discord's clock"
    mend = "Let it follow a time server: timedatectl set-ntp true"
    if off > CLOCK_BAD_S:
        return wrong("clock", f"{says}: links would run out and ballots end at the wrong time", mend)
    return note("clock", says, mend) if off > CLOCK_OFF_S else ok("clock", "it agrees with Discord's")


def _application(reply: Reply) -> list[Remark]:
    body = reply.body
    page = f"{PORTAL}/{body['id']}"
    found = [
        ok("intents", "only ordinary ones are used; no switch has to be set in the portal"),
        note("invite", "with exactly what it needs", invite_link(int(body["id"]))),
    ]
    if body.get("interactions_endpoint_url"):
        says = "commands and buttons are sent to an Interactions Endpoint URL: the bot hears none of them"
        found.append(wrong("interactions", says, f"Empty that field: {page}/information"))
    if body.get("bot_require_code_grant"):
        says = "'Requires OAuth2 Code Grant' is on: the invite link does not work"
        found.append(wrong("invite", says, f"Switch it off: {page}/bot"))
    if not body.get("bot_public", True):
        found.append(note("invite", "'Public Bot' is off: only its owner can invite it", f"To let others: {page}/bot"))
    return found


def _starts(reply: Reply) -> list[Remark]:
    limit = (reply.body or {}).get("session_start_limit") or {}
    left = limit.get("remaining")
    if left is None or left > FEW_STARTS:
        return []
    says = f"it may log in {left} more times today: something starts it again and again"
    return [wrong("logins", says, "Stop it and look at its log; Discord takes the token away at 0.")]


async def _pages(settings: BotSettings, session: aiohttp.ClientSession) -> list[Remark]:
    """The port, and whether the public address leads to it: a page of our own answers where no bot does."""
    word = secrets.token_hex(8)
    async with _answering(settings, word) as (free, remark):
        found = [remark]
        if settings.public_url is None:
            says = "there is none: files over a server's limit reach members as a compact version"
            found.append(
                note("public address", says, "Set LORASMITH_PUBLIC_URL where the bot's web pages can be reached.")
            )
        else:
            found.append(await _public(settings.public_url, session, word if free else None))
    return found


@asynccontextmanager
async def _answering(settings: BotSettings, word: str) -> AsyncIterator[tuple[bool, Remark]]:
    app = web.Application()

    async def health(_: web.Request) -> web.Response:
        return web.Response(text=word)

    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    where = f"{settings.web_host}:{settings.web_port}"
    try:
        await web.TCPSite(runner, settings.web_host, settings.web_port).start()
    except OSError as error:
        if await _is_ours(settings):
            yield False, ok("port", f"{where}: the bot that runs now answers there")
        else:
            mend = "Stop the other program, or set LORASMITH_WEB_PORT or LORASMITH_WEB_HOST."
            yield False, wrong("port", f"{where} cannot be had: {error.strerror or error}", mend)
    else:
        yield True, ok("port", f"{where} is free")
    finally:
        await runner.cleanup()


async def _is_ours(settings: BotSettings) -> bool:
    host = "127.0.0.1" if settings.web_host in ("0.0.0.0", "") else settings.web_host  # noqa: S104  # compared, not bound
    timeout = aiohttp.ClientTimeout(total=3)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{settings.web_port}/health", allow_redirects=False) as answer,
        ):
            return answer.status == 200 and (await answer.content.read(16)).strip() == b"ok"
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def _public(address: str, session: aiohttp.ClientSession, word: str | None) -> Remark:
    """Asked from here: a router that does not lead back to itself would look unreachable, and that is said."""
    expected = word or "ok"
    mend = "Lead it to the bot's port, e.g. by a reverse proxy with TLS; ask it from outside: a router may refuse its own address."
    try:
        timeout = aiohttp.ClientTimeout(total=PUBLIC_S)
        async with session.get(f"{address}/health", timeout=timeout) as answer:
            said = (await answer.content.read(64)).decode(errors="replace").strip()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return wrong("public address", f"{address} cannot be reached from here: {type(error).__name__}", mend)
    if answer.status != 200 or said != expected:
        return wrong("public address", f"{address} answers, but it is not this bot ({answer.status})", mend)
    return _reached(address)


def _reached(address: str) -> Remark:
    host = urlsplit(address).hostname or ""
    if host in ("localhost", "127.0.0.1", "::1"):
        return note(
            "public address",
            f"{address} leads here from this machine alone",
            "Members need one that leads from outside.",
        )
    if address.startswith("http://"):
        return note(
            "public address", f"{address} leads to this bot, without TLS", "Put something in front that ends TLS."
        )
    return ok("public address", f"{address} leads to this bot")


def main() -> int:
    """Hand over the remarks as one line of JSON."""
    try:
        settings = BotSettings()
    except ValidationError as error:
        return _tell([_setting(line) for line in wrong_settings(error)])
    return _tell(asyncio.run(inspected(settings)))


def _setting(line: str) -> Remark:
    if line.startswith(("LORASMITH_TOKEN", "DISCORD_TOKEN")):
        return token_shape("") or wrong("token", line, "")
    return wrong("settings", line, "Correct it in .env; `lorasmith bot --help` says what each one means.")


def _tell(remarks: Sequence[Remark]) -> int:
    sys.stdout.write(to_json(remarks) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
