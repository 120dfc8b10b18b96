"""What an operator can set for the bot, on top of `storage.settings`. Read from `LORASMITH_...` variables and `.env`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from storage.domain.bases import BASES
from storage.hub import token_of_environment
from storage.settings import StorageSettings

DISCORD = "https://discord.com"
LOOPBACK_HOST = "127.0.0.1"


class BotSettings(StorageSettings):
    """The bot's settings. The token is a `SecretStr`: it is shown by nothing that prints or logs a settings object."""

    token: SecretStr = Field(validation_alias=AliasChoices("LORASMITH_TOKEN", "DISCORD_TOKEN", "token"))
    """The bot's token, from Discord's developer portal."""
    discord_url: str = DISCORD
    """Discord itself, or a loopback server such as `http://127.0.0.1:8500`. Nothing else: the token is sent there."""
    allowed_servers: Annotated[frozenset[int], NoDecode] = frozenset()
    """Ids of the servers that may use the bot, separated by commas; empty allows all."""
    base: str = "pocket"
    """The base model that orders train on; `lorasmith bases` lists them."""
    steps: int | None = Field(default=None, ge=1)
    """Train every order for so many steps instead of what its recipe says: for trials of a new machine and for tests."""
    drafts_a_member: int = Field(default=3, ge=1)
    """Drafts of one member in one server at a time: pictures are fetched and kept for each."""
    orders_a_member: int = Field(default=1, ge=1)
    """Orders of one member that may wait or train in one server at a time; votes that are open do not count."""
    server_weights: Annotated[Mapping[int, float], NoDecode] = Field(default_factory=dict)
    """Shares of the graphics cards by server, as `<server id>=<weight>` separated by commas; who is not listed has 1."""
    ballot_hours: float = Field(default=12.0, gt=0)
    """How long a ballot stays open."""
    ballot_s: float | None = Field(default=None, gt=0)
    """The same in seconds, for demonstrations and tests; holds over `ballot_hours`."""
    draft_minutes: float | None = Field(default=None, gt=0)
    """How long a draft waits for its Start; None takes `draft_hours`."""
    public_url: str | None = None
    """Where members reach this bot's web pages, e.g. `https://lora.example.org`; None has no download links."""
    web_host: str = LOOPBACK_HOST
    """The address on which the bot's own web pages listen; 0.0.0.0 is every one of this machine."""
    web_port: int = Field(default=8480, ge=0, le=65535)
    """And the port; 0 takes a free one."""
    max_picture_mib: float = Field(default=25.0, gt=0, le=100)
    """The largest picture file that is downloaded."""
    download_s: float = Field(default=60.0, gt=0)
    """The longest that one download may take."""
    absence_s: float = Field(default=600.0, gt=0)
    """How often the owners of waiting orders are looked up: without the members intent nobody says that one left."""
    look_s: float = Field(default=0.7, gt=0)
    """How often what Discord shows is compared with what storage says."""
    status_s: float = Field(default=15.0, gt=0)
    """The least time between two edits of one message: Discord counts edits."""
    recount_s: float = Field(default=2.0, gt=0)
    """How long reactions on one order are gathered before its votes are counted anew."""
    ballot_patience_hours: float = Field(default=24.0, gt=0)
    """So long past its deadline a ballot waits for votes that cannot be read; then those last seen decide."""
    hub_namespace: str = ""
    """User or organisation on the model hub where delivered LoRAs are put, with a card; the token comes from HF_TOKEN. Empty
    shares nothing. Needs lorasmith[hub]."""
    hub_public: bool = False
    """Whether everybody may see them there; else only the account and whom it invites."""
    link_minutes: float = Field(default=10.0, gt=0)
    """How long a download link works."""

    @field_validator("hub_namespace")
    @classmethod
    def _can_share(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,95}", value):
            raise ValueError("this is the name of a user or an organisation on the hub, of letters, digits and -")
        if value and importlib.util.find_spec("huggingface_hub") is None:
            raise ValueError("sharing needs huggingface_hub: install lorasmith[hub], or leave this setting out")
        if value and token_of_environment() is None:
            raise ValueError("sharing needs a token that may write there: set HF_TOKEN, as a variable or in .env")
        return value

    @field_validator("base")
    @classmethod
    def _known_base(cls, value: str) -> str:
        if value not in BASES:
            raise ValueError(f"base models are {', '.join(BASES)}; not {value}")
        return value

    @field_validator("discord_url")
    @classmethod
    def _own_host_or_loopback(cls, value: str) -> str:
        parts = urlsplit(value)
        loopback = parts.scheme == "http" and parts.hostname == LOOPBACK_HOST and parts.port is not None
        if parts.username or parts.path.strip("/") or parts.query or not (loopback or value.rstrip("/") == DISCORD):
            raise ValueError(f"the token is only sent to {DISCORD} or to http://{LOOPBACK_HOST}:<port>")
        return value.rstrip("/")

    @field_validator("allowed_servers", mode="before")
    @classmethod
    def _from_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(int(part) for part in value.replace(",", " ").split())
        return value

    @field_validator("server_weights", mode="before")
    @classmethod
    def _weights_from_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.replace(",", " ").split()]
        return {server: weight for server, _, weight in pairs}

    @field_validator("server_weights")
    @classmethod
    def _weigh_something(cls, value: Mapping[int, float]) -> Mapping[int, float]:
        if not all(0.0 < weight < float("inf") for weight in value.values()):
            raise ValueError("a weight is a number above 0: <server id>=<weight>, separated by commas")
        return value

    @field_validator("public_url")
    @classmethod
    def _whole_address(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("a public address starts with https:// or http://")
        return value.rstrip("/") if value else None

    @property
    def loopback(self) -> bool:
        """Whether the bot talks to a loopback server instead of Discord."""
        return self.discord_url != DISCORD

    @property
    def ballot_seconds(self) -> float:
        """How long a ballot stays open, in seconds."""
        return self.ballot_s if self.ballot_s is not None else self.ballot_hours * 3600

    @property
    def draft_seconds(self) -> float:
        """How long a draft waits for its Start, in seconds."""
        return self.draft_minutes * 60 if self.draft_minutes is not None else self.draft_hours * 3600

    def serves(self, server_id: int) -> bool:
        """Whether the operator lets this server use the bot."""
        return not self.allowed_servers or server_id in self.allowed_servers
