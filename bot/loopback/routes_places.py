"""REST: the bot itself, servers, channels, threads, direct conversations, commands."""

from __future__ import annotations

from typing import Any

from bot.loopback import commands, objects, threads
from bot.loopback.calls import Call, Route
from bot.loopback.failures import Refusal
from bot.loopback.moving import leave
from bot.loopback.service import person
from bot.loopback.world import DM, PUBLIC_THREAD, Channel

CHANNEL = "/channels/{channel_id}"
GUILD = "/guilds/{guild_id}"
GLOBAL = "/applications/{application_id}/commands"
LOCAL = "/applications/{application_id}/guilds/{guild_id}/commands"


def me(call: Call) -> tuple[int, Any]:
    """Who the bot is."""
    return 200, objects.own_user(call.service.world.users[call.service.world.bot_id])


def application(call: Call) -> tuple[int, Any]:
    """The application behind the bot."""
    world = call.service.world
    owner = next(iter(u for u in world.users.values() if not u.bot))
    unset = ("icon", "type", "interactions_endpoint_url", "role_connections_verification_url", "team")
    return 200, dict.fromkeys(unset) | {
        "id": str(world.application_id),
        "name": world.users[world.bot_id].display_name,
        "description": "",
        "verify_key": "0" * 64,
        "flags": 0,
        "flags_new": "0",
        "redirect_uris": [],
        "owner": objects.user(owner),
        "bot": objects.user(world.users[world.bot_id]),
        "bot_public": True,
        "bot_require_code_grant": False,
        "approximate_guild_count": len(world.bot_guilds()),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "eligible_oauth2_scopes": [],
    }


def get_user(call: Call) -> tuple[int, Any]:
    """Anybody."""
    return 200, objects.user(person(call.service, call.ids["user_id"]))


def gateway(call: Call) -> tuple[int, Any]:
    """Where the gateway is."""
    return 200, {"url": call.service.gateway.url}


def gateway_bot(call: Call) -> tuple[int, Any]:
    """Where the gateway is, and how often one may identify."""
    left = max(0, 1000 - call.service.gateway.identifies)
    limit = {"total": 1000, "remaining": left, "reset_after": 86_400_000, "max_concurrency": 1}
    return 200, {"url": call.service.gateway.url, "shards": 1, "session_start_limit": limit}


def get_guild(call: Call) -> tuple[int, Any]:
    """A server."""
    return 200, objects.guild(call.service.bot_guild(call.ids["guild_id"]))


def get_roles(call: Call) -> tuple[int, Any]:
    """A server's roles."""
    return 200, [objects.role(r) for r in call.service.bot_guild(call.ids["guild_id"]).roles.values()]


def get_channels(call: Call) -> tuple[int, Any]:
    """A server's channels, threads not among them."""
    guild = call.service.bot_guild(call.ids["guild_id"])
    return 200, [objects.channel(call.service.world, c) for c in call.service.world.guild_channels(guild.id)]


def get_member(call: Call) -> tuple[int, Any]:
    """A member of a server."""
    guild = call.service.bot_guild(call.ids["guild_id"])
    if call.ids["user_id"] not in guild.members:
        raise Refusal(10007)
    return 200, call.service.member(guild.id, call.ids["user_id"])


def active_threads(call: Call) -> tuple[int, Any]:
    """A server's threads that are not archived."""
    service, guild = call.service, call.service.bot_guild(call.ids["guild_id"])
    found = [t for t in service.world.guild_channels(guild.id, PUBLIC_THREAD) if t.thread and not t.thread.archived]
    seen = [t for t in found if service.can_see(service.world.bot_id, t)]
    mine = [objects.thread_member(t, service.world.bot_id) for t in seen]
    return 200, {"threads": [objects.channel(service.world, t) for t in seen], "members": mine, "has_more": False}


def my_guilds(call: Call) -> tuple[int, Any]:
    """The servers the bot is in."""
    return 200, [
        {
            "id": str(g.id),
            "name": g.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": "0",
            "features": [],
        }
        for g in call.service.world.bot_guilds()
    ]


def leave_guild(call: Call) -> tuple[int, Any]:
    """The bot leaves a server."""
    leave(call.service, call.service.bot_guild(call.ids["guild_id"]), call.service.world.bot_id)
    return 204, None


def get_channel(call: Call) -> tuple[int, Any]:
    """A channel, a thread or a direct conversation."""
    return 200, objects.channel(call.service.world, call.service.bot_channel(call.ids["channel_id"]))


def patch_channel(call: Call) -> tuple[int, Any]:
    """Archive, lock or rename a thread; channels themselves the bot does not touch."""
    service, world = call.service, call.service.world
    place = service.bot_channel(call.ids["channel_id"])
    if place.thread is None:
        raise Refusal(50024)
    own_and_mild = place.thread.owner_id == world.bot_id and "locked" not in call.body
    if not own_and_mild:
        service.need(place, world.bot_id, "MANAGE_THREADS")
    threads.change_thread(service, place, call.body)
    return 200, objects.channel(world, place)


def delete_channel(call: Call) -> tuple[int, Any]:
    """Delete a thread or a channel."""
    service = call.service
    place = service.bot_channel(call.ids["channel_id"])
    service.need(place, service.world.bot_id, "MANAGE_THREADS" if place.thread else "MANAGE_CHANNELS")
    body = objects.channel(service.world, place)
    threads.remove_channel(service, place)
    return 200, body


def thread_from_message(call: Call) -> tuple[int, Any]:
    """Open a thread under a message."""
    service = call.service
    place = service.bot_channel(call.ids["channel_id"], "CREATE_PUBLIC_THREADS", "READ_MESSAGE_HISTORY")
    root = service.message(place.id, call.ids["message_id"])
    thread = threads.open_thread(service, place, service.world.bot_id, call.body, root=root)
    return 201, objects.channel(service.world, thread)


def thread_alone(call: Call) -> tuple[int, Any]:
    """Open a thread without a message."""
    service = call.service
    place = service.bot_channel(call.ids["channel_id"], "CREATE_PUBLIC_THREADS")
    if call.body.get("type") not in (None, PUBLIC_THREAD):
        raise Refusal(50024)
    thread = threads.open_thread(service, place, service.world.bot_id, call.body)
    return 201, objects.channel(service.world, thread)


def join_thread(call: Call) -> tuple[int, Any]:
    """The bot joins a thread."""
    place = call.service.bot_channel(call.ids["channel_id"])
    if place.thread and call.service.world.bot_id not in place.thread.member_ids:
        place.thread.member_ids.append(call.service.world.bot_id)
    return 204, None


def add_to_thread(call: Call) -> tuple[int, Any]:
    """Bring a member into a thread."""
    place = call.service.bot_channel(call.ids["channel_id"], "SEND_MESSAGES_IN_THREADS")
    if place.thread is None:
        raise Refusal(50024)
    user = person(call.service, call.ids["user_id"])
    if user.id not in place.thread.member_ids:
        place.thread.member_ids.append(user.id)
    return 204, None


def open_dm(call: Call) -> tuple[int, Any]:
    """The direct conversation with somebody; always the same one."""
    world = call.service.world
    user = person(call.service, call.body["recipient_id"])
    found = next((c for c in world.channels.values() if c.kind == DM and user.id in c.recipients), None)
    if found is None:
        found = Channel(id=call.service.ids.new(), kind=DM, recipients=[world.bot_id, user.id])
        world.channels[found.id] = found
    return 200, objects.channel(world, found)


def put_commands(call: Call) -> tuple[int, Any]:
    """Replace all commands, everywhere or of one server."""
    return 200, commands.replace_all(call.service, _scope(call), call.body or [])


def list_commands(call: Call) -> tuple[int, Any]:
    """The commands, everywhere or of one server."""
    guild_id = _scope(call)
    found = [c for c in call.service.world.commands.values() if c.guild_id == guild_id]
    return 200, [objects.command(call.service.world, c) for c in found]


def _scope(call: Call) -> int | None:
    if call.ids["application_id"] != call.service.world.application_id:
        raise Refusal(50001)
    guild_id = call.ids.get("guild_id")
    return call.service.bot_guild(guild_id).id if guild_id is not None else None


ROUTES = (
    Route(method="GET", template="/users/@me", serve=me),
    Route(method="GET", template="/users/{user_id}", serve=get_user),
    Route(method="GET", template="/oauth2/applications/@me", serve=application),
    Route(method="GET", template="/gateway", serve=gateway, authorised=False),
    Route(method="GET", template="/gateway/bot", serve=gateway_bot),
    Route(method="GET", template="/users/@me/guilds", serve=my_guilds),
    Route(method="DELETE", template="/users/@me/guilds/{guild_id}", serve=leave_guild),
    Route(method="POST", template="/users/@me/channels", serve=open_dm),
    Route(method="GET", template=GUILD, serve=get_guild),
    Route(method="GET", template=f"{GUILD}/roles", serve=get_roles),
    Route(method="GET", template=f"{GUILD}/channels", serve=get_channels),
    Route(method="GET", template=GUILD + "/members/{user_id}", serve=get_member),
    Route(method="GET", template=f"{GUILD}/threads/active", serve=active_threads),
    Route(method="GET", template=CHANNEL, serve=get_channel),
    Route(method="PATCH", template=CHANNEL, serve=patch_channel),
    Route(method="DELETE", template=CHANNEL, serve=delete_channel),
    Route(method="POST", template=CHANNEL + "/messages/{message_id}/threads", serve=thread_from_message),
    Route(method="POST", template=f"{CHANNEL}/threads", serve=thread_alone),
    Route(method="PUT", template=f"{CHANNEL}/thread-members/@me", serve=join_thread),
    Route(method="PUT", template=CHANNEL + "/thread-members/{user_id}", serve=add_to_thread),
    Route(method="PUT", template=GLOBAL, serve=put_commands),
    Route(method="GET", template=GLOBAL, serve=list_commands),
    Route(method="PUT", template=LOCAL, serve=put_commands),
    Route(method="GET", template=LOCAL, serve=list_commands),
)
