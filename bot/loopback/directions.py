"""What a test does to the world from outside: trouble on the wire, time, permissions, comings and goings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback import moving, objects
from bot.loopback.faults import Fault
from bot.loopback.permissions import BITS
from bot.loopback.rules import REAL_RATES
from bot.loopback.service import GUILDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.loopback.service import Service
    from bot.loopback.world import JSON


def fault(service: Service, order: JSON) -> None:
    """Script trouble: the fields of faults.Fault."""
    service.faults.add(Fault(**order))


def clear_faults(service: Service, order: JSON) -> None:  # noqa: ARG001  # all verbs have one shape
    """Forget all scripted trouble."""
    service.faults.clear()


def reconnect(service: Service, order: JSON) -> None:  # noqa: ARG001
    """Op 7."""
    service.gateway.reconnect()


def invalidate(service: Service, order: JSON) -> None:
    """Op 9; `resumable` false loses the events in between."""
    service.gateway.invalidate(resumable=bool(order.get("resumable", False)))


def close(service: Service, order: JSON) -> None:
    """Close the gateway connections with `code`."""
    service.gateway.close(int(order["code"]))


def abort(service: Service, order: JSON) -> None:  # noqa: ARG001
    """Tear the gateway connections."""
    service.gateway.abort()


def beat(service: Service, order: JSON) -> None:  # noqa: ARG001
    """Op 1: ask for a heartbeat."""
    service.gateway.beat()


def redeliver(service: Service, order: JSON) -> None:
    """Send the last `event` (say INTERACTION_CREATE) a second time."""
    for session in service.gateway.sessions.values():
        session.redeliver(str(order["event"]))


def refuse_gateway(service: Service, order: JSON) -> None:
    """The next `times` handshakes are refused, or (`silent`) accepted without HELLO."""
    times = int(order.get("times", 1))
    if order.get("silent"):
        service.gateway.silent_handshakes = times
    else:
        service.gateway.refuse_handshakes = times


def advance(service: Service, order: JSON) -> None:
    """Let `seconds` pass for tokens, links, nonces, sessions and message ages."""
    service.clock.advance(float(order["seconds"]))


def expire_links(service: Service, order: JSON) -> None:  # noqa: ARG001
    """Every link handed out so far stops working: the signing key changes."""
    service.world.link_key += "x"


def rule(service: Service, order: JSON) -> None:
    """Change fields of rules.Rules."""
    for name, value in order.items():
        if not hasattr(service.rules, name):
            raise KeyError(name)
        setattr(service.rules, name, tuple(value) if isinstance(value, list) else value)


def rates(service: Service, order: JSON) -> None:
    """Real-looking buckets (`real` true), or rules {"POST /channels/{channel_id}/messages": [5, 5.0]}."""
    service.rates.rules = dict(REAL_RATES) if order.get("real") else {}
    for name, (limit, window_s) in (order.get("rules") or {}).items():
        method, _, route = name.partition(" ")
        service.rates.rules[method, route] = (int(limit), float(window_s))


def overwrite(service: Service, order: JSON) -> None:
    """A channel's say: `channel_id`, `target_id` (default the bot), `allow` and `deny` as lists of names."""
    place = service.channel(int(order["channel_id"]))
    target_id = int(order.get("target_id") or service.world.bot_id)
    kind = 1 if target_id in service.world.users else 0
    allow, deny = (sum(BITS[n] for n in order.get(key) or []) for key in ("allow", "deny"))
    moving.overwrite(service, place, target_id=target_id, kind=kind, allow=allow, deny=deny)


def kick(service: Service, order: JSON) -> None:
    """Remove `user_id` (default the bot) from `guild_id`."""
    guild = service.world.guilds[int(order["guild_id"])]
    moving.leave(service, guild, int(order.get("user_id") or service.world.bot_id))


def invite(service: Service, order: JSON) -> None:
    """Bring `user_id` (default the bot) into `guild_id`."""
    guild = service.world.guilds[int(order["guild_id"])]
    moving.join(service, guild, int(order.get("user_id") or service.world.bot_id))


def outage(service: Service, order: JSON) -> None:
    """`guild_id` becomes `unavailable`, or comes back."""
    moving.outage(service, service.world.guilds[int(order["guild_id"])], unavailable=bool(order["unavailable"]))


def member(service: Service, order: JSON) -> None:
    """Change a user: `user_id`, `locale`, `dm_open`."""
    user = service.world.users[int(order["user_id"])]
    user.locale = order.get("locale", user.locale)
    user.dm_open = order.get("dm_open", user.dm_open)


def server(service: Service, order: JSON) -> None:
    """Change a server: `guild_id`, `premium_tier`, `locale`."""
    guild = service.world.guilds[int(order["guild_id"])]
    guild.premium_tier = int(order.get("premium_tier", guild.premium_tier))
    guild.locale = str(order.get("locale", guild.locale))
    service.gateway.dispatch("GUILD_UPDATE", objects.guild(guild), intent=GUILDS)


def forget_violations(service: Service, order: JSON) -> None:  # noqa: ARG001
    """After a test that provoked them on purpose."""
    service.record.violations.clear()


VERBS: dict[str, Callable[[Service, JSON], None]] = {
    "fault": fault,
    "clear_faults": clear_faults,
    "reconnect": reconnect,
    "invalidate": invalidate,
    "close": close,
    "abort": abort,
    "beat": beat,
    "redeliver": redeliver,
    "refuse_gateway": refuse_gateway,
    "advance": advance,
    "expire_links": expire_links,
    "rule": rule,
    "rates": rates,
    "overwrite": overwrite,
    "kick": kick,
    "invite": invite,
    "outage": outage,
    "member": member,
    "server": server,
    "forget_violations": forget_violations,
}
