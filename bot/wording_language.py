"""What is said about languages, in the language that was chosen."""

from __future__ import annotations

from storage.speech import _, language_name, spoken


def language_set() -> str:
    """A member chose."""
    return _("From now on I speak {language} with you.", language=language_name(spoken()))


def server_language_set() -> str:
    """The server's moderators chose."""
    return _("From now on I speak {language} in this server's channels.", language=language_name(spoken()))
