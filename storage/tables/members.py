"""Servers and the people in them."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant


class Community(SQLModel, table=True):
    """A Discord server that uses the bot (or `local` for orders without Discord)."""

    __tablename__ = "communities"
    id: str = Field(primary_key=True)
    name: str = ""
    weight: float = 1.0
    tag: float = 0.0
    """Virtual seconds served: `storage.domain.fairness`."""
    allowed_channels_json: str = "[]"
    """Channel ids where `/train` is taken; empty means everywhere."""
    consent_line: str = ""
    """What the owner of an order for a person must agree to; empty means the standard line."""
    locale: str = ""
    """What Discord says is the server's language."""
    language: str = ""
    """What its moderators chose instead; empty follows `locale`."""
    removed_at: datetime | None = instant(default=None)
    """When the bot was removed from the server."""


class Member(SQLModel, table=True):
    """A person in one community."""

    __tablename__ = "members"
    community_id: str = Field(primary_key=True, foreign_key="communities.id")
    id: str = Field(primary_key=True)
    tag: float = 0.0
    mention: bool = True
    """Whether the bot may mention this member on their own orders."""
    language: str = ""
    """What this member chose to be spoken to in; empty follows Discord. The same in all rows of one person."""
    left_at: datetime | None = instant(default=None)
