"""The refusals that the loopback gives, with Discord's own codes.

Codes: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
"""

from __future__ import annotations

from typing import Any

TEXTS: dict[int, tuple[int, str]] = {
    0: (401, "401: Unauthorized"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10014: (400, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    10063: (404, "Unknown application command"),
    30010: (400, "Maximum number of reactions reached (20)"),
    30034: (400, "Max number of daily application command creates has been reached (200)"),
    30046: (429, "Maximum number of edits to messages older than 1 hour reached. Try again later."),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50024: (400, "Cannot execute action on this channel type"),
    50027: (401, "Invalid Webhook Token"),
    50035: (400, "Invalid Form Body"),
    50083: (400, "Thread is archived"),
    160004: (400, "A thread has already been created for this message"),
    160005: (403, "Thread is locked"),
}


class Refusal(Exception):
    """The request was understood and is refused."""

    def __init__(self, code: int, *, errors: dict[str, Any] | None = None, retry_after_s: float | None = None) -> None:
        """`code` is Discord's JSON code; `errors` is the tree of fields of a 50035; a 429 says when to try again."""
        self.code = code
        self.status, self.text = TEXTS[code]
        self.errors = errors
        self.retry_after_s = retry_after_s
        super().__init__(f"{code}: {self.text}")

    def body(self) -> dict[str, Any]:
        """The JSON that goes out."""
        body: dict[str, Any] = {"message": self.text, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        if self.retry_after_s is not None:
            body |= {"retry_after": self.retry_after_s, "global": False}
        return body


def invalid(path: str, message: str) -> Refusal:
    """A 50035 about one field, such as `invalid("content", "Must be 2000 or fewer in length.")`."""
    return Refusal(50035, errors=error_tree([(path, message)]))


def error_tree(problems: list[tuple[str, str]]) -> dict[str, Any]:
    """Field errors in Discord's nested form: `{"embeds": {"0": {"title": {"_errors": [...]}}}}`."""
    tree: dict[str, Any] = {}
    for path, message in problems:
        node = tree
        for part in (p for p in path.split(".") if p):
            node = node.setdefault(part, {})
        node.setdefault("_errors", []).append({"code": "INVALID", "message": message})
    return tree
