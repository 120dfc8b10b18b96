"""Every error that the product itself raises.

    LorasmithError
    |-- Refusal                 what somebody asked for is not taken; says why and what to do
    |   |-- PictureRefused      one picture; the member's other pictures are kept
    |   |-- OrderRefused        an order as a whole (count, quota, channel, consent ...)
    |   `-- FileRefused         a LoRA file that is broken or hostile
    |-- IllegalMove             an order was asked to jump between stages that have no arrow
    |-- JobFailed               a piece of GPU work ended; knows whose fault it was
    `-- SetupError              the operator's set-up is wrong
        |-- SecondBot           another bot holds the one-bot lease
        |-- NewerDatabase       the database was written by a newer program
        |-- NotMigrated         the database is not there yet, or is older than the program
        `-- MixedSetup          several machines on a store that only one can use

The docstring is the default message. Errors carry data; the bot words them for members in `bot/wording.py`.
"""

from __future__ import annotations

from enum import StrEnum


class LorasmithError(Exception):
    """Something in lorasmith went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n\n")[0].strip())


class Refusal(LorasmithError):
    """This was refused."""


class PictureFault(StrEnum):
    """Why one picture is not used. The values are kept in rows and named in tests."""

    NOT_A_PICTURE = "not_a_picture"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    TOO_SLOW = "too_slow"
    LINK_EXPIRED = "link_expired"
    DOWNLOAD_FAILED = "download_failed"
    ONE_TOO_MANY = "one_too_many"
    LEFT_OUT = "left_out"


class PictureRefused(Refusal):
    """This picture cannot be used."""

    def __init__(self, fault: PictureFault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault
        self.detail = detail


class OrderFault(StrEnum):
    """Why an order is not taken."""

    TOO_FEW_PICTURES = "too_few_pictures"
    CHANNEL_NOT_ALLOWED = "channel_not_allowed"
    SERVER_NOT_ALLOWED = "server_not_allowed"
    ALREADY_RUNNING = "already_running"
    CONSENT_MISSING = "consent_missing"
    DISK_FULL = "disk_full"
    NOT_YOURS = "not_yours"
    TOO_LATE = "too_late"
    UNKNOWN = "unknown"


class OrderRefused(Refusal):
    """This order cannot be taken."""

    def __init__(self, fault: OrderFault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault
        self.detail = detail


class FileRefused(Refusal):
    """This file is not a LoRA that can be read safely."""


class IllegalMove(LorasmithError):
    """An order cannot move between these stages."""


class Fault(StrEnum):
    """Whose fault a failed order is: what the member is told, and whether a retry can help."""

    PICTURES = "pictures"
    MACHINE = "machine"
    PROGRAM = "program"


class JobFailed(LorasmithError):
    """A piece of work on the GPU ended without its result."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason


class SetupError(LorasmithError):
    """The set-up of this installation is wrong."""


class SecondBot(SetupError):
    """Another bot is running on this database; one database has one bot."""


class NewerDatabase(SetupError):
    """The database was written by a newer lorasmith; install that version or restore a backup."""


class NotMigrated(SetupError):
    """The database is not ready; start the bot or run `lorasmith migrate` first."""


class MixedSetup(SetupError):
    """SQLite and a folder of artifacts mean one machine; several machines need PostgreSQL and a shared store."""
