"""The state of the loopback world: who is there, and what was said. Plain data; nothing here acts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]

TEXT, DM, VOICE, PUBLIC_THREAD = 0, 1, 2, 11
EPHEMERAL, LOADING, HAS_THREAD, COMPONENTS_V2, SILENT, SUPPRESS_EMBEDS = (
    1 << 6,
    1 << 7,
    1 << 5,
    1 << 15,
    1 << 12,
    1 << 2,
)


@dataclass(kw_only=True)
class User:
    """A person, or the bot."""

    id: int
    name: str
    display_name: str
    bot: bool = False
    locale: str = "en-US"
    dm_open: bool = True  # False: whoever writes to them gets 50007


@dataclass(kw_only=True)
class Role:
    """A set of permissions inside one server; the role whose id is the server's is everyone's."""

    id: int
    name: str
    permissions: int
    position: int = 0
    managed: bool = False


@dataclass(kw_only=True)
class Overwrite:
    """What one channel allows or denies to one role (kind 0) or one member (kind 1)."""

    id: int
    kind: int
    allow: int = 0
    deny: int = 0


@dataclass(kw_only=True)
class Membership:
    """A user's place in one server."""

    user_id: int
    joined_at: float
    role_ids: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Guild:
    """A server (Discord's word on the wire is guild)."""

    id: int
    name: str
    owner_id: int
    premium_tier: int = 0
    locale: str = "en-US"
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, Membership] = field(default_factory=dict)
    bot_joined_at: float | None = None
    unavailable: bool = False


@dataclass(kw_only=True)
class ThreadState:
    """What a thread has beyond a channel."""

    owner_id: int
    created_at: float
    archived_at: float
    auto_archive_min: int = 1440
    archived: bool = False
    locked: bool = False
    member_ids: list[int] = field(default_factory=list)
    messages_sent: int = 0


@dataclass(kw_only=True)
class Channel:
    """A text channel, the text chat of a voice channel, a thread or a direct conversation."""

    id: int
    kind: int
    name: str = ""
    guild_id: int | None = None
    parent_id: int | None = None
    position: int = 0
    nsfw: bool = False
    recipients: list[int] = field(default_factory=list)
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    thread: ThreadState | None = None
    last_message_id: int | None = None


@dataclass(kw_only=True)
class Attachment:
    """A stored file. Its bytes lie in the blob folder under its id."""

    id: int
    channel_id: int
    filename: str
    size: int
    content_type: str
    width: int | None = None
    height: int | None = None
    description: str | None = None
    title: str | None = None
    ephemeral: bool = False
    uploader_id: int = 0


@dataclass(kw_only=True)
class Reaction:
    """One emoji under a message and who put it there, in order."""

    emoji: str  # the character, or name:id for a server's own
    user_ids: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Message:
    """What somebody said."""

    id: int
    channel_id: int
    author_id: int
    created_at: float
    content: str = ""
    kind: int = 0
    flags: int = 0
    edited_at: float | None = None
    edits: int = 0
    attachments: list[Attachment] = field(default_factory=list)
    embeds: list[JSON] = field(default_factory=list)
    components: list[JSON] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    mentions: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    nonce: str | int | None = None
    reference: JSON | None = None
    metadata: JSON | None = None  # interaction_metadata, for answers to interactions
    visible_to: int | None = None  # an ephemeral message has one reader
    dismissed: bool = False  # its one reader has put it away; for the bot it is still there
    thread_id: int | None = None
    tts: bool = False

    @property
    def thinking(self) -> bool:
        """A deferred answer that has not come yet."""
        return bool(self.flags & LOADING)


@dataclass(kw_only=True)
class Command:
    """A command the bot has registered, globally (guild_id None) or in one server."""

    id: int
    guild_id: int | None
    version: int
    definition: JSON

    @property
    def kind(self) -> int:
        """1 slash, 2 on a user, 3 on a message."""
        return int(self.definition.get("type") or 1)


@dataclass(kw_only=True)
class Interaction:
    """Something a member did that the bot must answer within three seconds."""

    id: int
    token: str
    kind: int  # 2 command, 3 component, 4 autocomplete, 5 modal
    user_id: int
    channel_id: int
    guild_id: int | None
    created_at: float
    name: str = ""
    message_id: int | None = None  # the message whose component was used, or the command's target
    target_id: int | None = None
    answer_kind: int | None = None
    answered_after_ms: float | None = None
    response_id: int | None = None
    source: JSON | None = None  # the metadata of the interaction that opened this modal
    modal: JSON | None = None
    failed: bool = False
    choices: list[JSON] | None = None
    followups: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class World:
    """Everything there is. One bot, several servers."""

    bot_id: int
    application_id: int
    token: str
    link_key: str = field(default_factory=lambda: secrets.token_hex(32))
    users: dict[int, User] = field(default_factory=dict)
    guilds: dict[int, Guild] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    messages: dict[int, dict[int, Message]] = field(default_factory=dict)
    uploads: dict[int, Attachment] = field(default_factory=dict)
    interactions: dict[int, Interaction] = field(default_factory=dict)
    commands: dict[int, Command] = field(default_factory=dict)
    commands_created: dict[int, int] = field(default_factory=dict)

    def message(self, channel_id: int, message_id: int) -> Message | None:
        """A message by its place, or None."""
        return self.messages.get(channel_id, {}).get(message_id)

    def guild_channels(self, guild_id: int, kind: int = TEXT) -> list[Channel]:
        """A server's channels of one kind, in their order."""
        found = [c for c in self.channels.values() if c.guild_id == guild_id and c.kind == kind]
        return sorted(found, key=lambda c: (c.position, c.id))

    def bot_guilds(self) -> list[Guild]:
        """The servers the bot is in."""
        return [g for g in self.guilds.values() if self.bot_id in g.members]
