"""What is said about settings; about a language in that language."""

from __future__ import annotations

from collections.abc import Sequence

from bot.wording import escape
from storage.speech import _, language_name, spoken


def language_set() -> str:
    """A member chose."""
    return _("From now on I speak {language} with you.", language=language_name(spoken()))


def server_language_set() -> str:
    """The server's moderators chose."""
    return _("From now on I speak {language} in this server's channels.", language=language_name(spoken()))


def channel_settings(channel_ids: Sequence[str]) -> str:
    """Where orders are taken from now on."""
    if not channel_ids:
        return _("Orders are taken in every channel that I can use.")
    return _("Orders are taken in {places} only.", places=", ".join(f"<#{int(c)}>" for c in channel_ids))


def consent_settings(line: str) -> str:
    """What people agree to before a person is trained, from now on; empty is the standard sentence."""
    if not line:
        return _("People will be asked the standard sentence.")
    return _("People will be asked to agree to:") + f"\n> {escape(line, 900)}"


def mentions_set(*, on: bool) -> str:
    """Whether the member is mentioned."""
    if on:
        return _("I will mention you when your own orders need you.")
    return _("I will not mention you any more.")
