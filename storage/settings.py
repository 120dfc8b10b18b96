"""The settings that both sides share. Each side extends this class in its own `settings.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def wrong_settings(error: ValidationError) -> list[str]:
    """One line a setting, without its value, which may be a secret."""
    return [
        f"{_variable(problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    ]


def _variable(where: tuple[int | str, ...]) -> str:
    """A setting's own name, or the alias by which pydantic calls it, as the variable that an operator writes."""
    name = "_".join(map(str, where)).upper()
    return name if name.startswith(("LORASMITH_", "DISCORD_")) else f"LORASMITH_{name}"


class StorageSettings(BaseSettings):
    """Where everything is kept. Read from `LORASMITH_...` variables and `.env`.

    Names of other settings are ignored here, because one `.env` serves the bot and the worker, which know different ones.
    """

    model_config = SettingsConfigDict(
        env_prefix="LORASMITH_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,  # `--help` shows them
    )

    data_dir: Path = Path("data")
    """Folder of everything that is not configured to be elsewhere."""
    database_url: str | None = None
    """`sqlite:///...` or `postgresql://...`; None is a SQLite file in `data_dir`."""
    artifacts_url: str | None = None
    """`s3://bucket/prefix` or a folder; None is a folder in `data_dir`. Keys of an S3 store come from the AWS_* variables."""
    lease_s: float = Field(default=30.0, gt=0)
    """After so many seconds without a beat a process counts as dead."""
    beat_s: float = Field(default=5.0, gt=0)
    """How often a living process says so."""
    poll_s: float = Field(default=0.3, gt=0)
    """How often the engine looks for work."""
    disk_ceiling_gb: float | None = Field(default=None, gt=0)
    """Artifacts may grow to this; above it no new order is taken. None is no ceiling."""
    retention_days: float | None = Field(default=30.0, gt=0)
    """After so many days a delivered order's pictures and unchosen checkpoints go. None keeps them."""
    keep_best: int | None = Field(default=None, ge=0, le=64)
    """Of a delivered order's checkpoints, so many that measured best stay beside the chosen one. None keeps all of them."""
    keep_last: int | None = Field(default=None, ge=0, le=64)
    """So many of the last ones stay too; both of them unset keep all until `retention_days`."""
    draft_hours: float = Field(default=24.0, gt=0)
    """How long a draft waits for its Start."""
    log_format: Literal["text", "json"] = "text"
    """What is logged: text for eyes, or json: one object a line, with the order's id where there is one."""
    retry_days: float = Field(default=7.0, gt=0)
    """How long a failed order can be tried again; then it ends and its files go."""

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            driver = make_url(value).get_backend_name()
        except (ArgumentError, ValueError):  # its words would repeat the password
            driver = ""
        if driver not in ("sqlite", "postgresql"):
            raise ValueError("the database is SQLite or PostgreSQL: sqlite:///... or postgresql://...")
        return value

    @field_validator("artifacts_url")
    @classmethod
    def _known_store(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, colon, rest = value.partition(":")
        named = bool(colon) and len(scheme) > 1 and scheme.isalnum()
        if named and not (scheme == "s3" and rest.startswith("//") and rest.strip("/")):
            raise ValueError("artifacts are in a folder or in an S3 store: s3://bucket/prefix")
        return value

    @property
    def database(self) -> str:
        """The database URL without a driver's name, as DBOS takes it."""
        if self.database_url is None:
            return f"sqlite:///{(self.data_dir / 'lorasmith.db').resolve()}"
        url = make_url(self.database_url)
        return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)

    @property
    def on_sqlite(self) -> bool:
        """Whether the database is a file on this machine."""
        return self.database.startswith("sqlite")

    @property
    def artifacts_folder(self) -> Path | None:
        """The folder of artifacts; None where they are in a shared store."""
        if self.artifacts_url is None:
            return (self.data_dir / "artifacts").resolve()
        if "://" not in self.artifacts_url:
            return Path(self.artifacts_url).resolve()
        return None
