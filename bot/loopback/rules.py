"""The numbers by which the loopback behaves. Where Discord's documents give none, the field says that it is assumed."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
UPLOAD_BYTES_BY_TIER = {0: 10 * MIB, 1: 10 * MIB, 2: 50 * MIB, 3: 100 * MIB}


@dataclass(kw_only=True)
class Rules:
    """Settings of one run; a test changes what it is about."""

    answer_within_s: float = 3.0
    """An interaction must be answered within this (documented)."""
    token_life_s: float = 15 * 60
    """Interaction tokens work this long (documented)."""
    link_life_s: float = 24 * 3600
    """Attachment links work this long (assumed; others have seen a day)."""
    nonce_window_s: float = 5 * 60
    """A nonce with enforce_nonce is remembered this long (assumed; the documents say a few minutes)."""
    old_message_s: float = 3600
    """From this age on, edits of a message are counted (error 30046)."""
    old_edits: int = 30
    """How many edits an old message takes (assumed)."""
    old_edit_wait_s: float = 1.0
    """The retry_after of a 30046 (assumed)."""
    member_upload_bytes: int = 10 * MIB
    """What one member may upload as one file."""
    request_bytes: int = 105 * MIB
    """The whole body of a request."""
    heartbeat_ms: int = 41_250
    """What HELLO asks for."""
    ack_after_s: float = 0.05
    """How long a heartbeat waits for its acknowledgement. At once is faster than any network: on a busy machine discord.py then
    hears it before it has noted that it sent one, and warns that it is a whole interval behind."""
    identify_gap_s: float = 0.0
    """Two IDENTIFYs must be this far apart; Discord has 5.0, which only slows restarts in tests."""
    session_life_s: float = 5 * 60
    """A dropped session can be resumed this long (assumed)."""
    message_content: bool = False
    """Whether the application may ask for the privileged MESSAGE_CONTENT intent."""
    event_delay_s: float = 0.0
    """How long gateway events lag behind; above 0 a bot's own echo comes after the HTTP answer."""
    invalid_limit: int = 10_000
    """From so many 401, 403 and 429 within ten minutes on, every call is 429 without Via, as Cloudflare does (documented)."""
    zlib_pieces: int = 1
    """Into how many frames a compressed gateway message is cut."""
    default_rate: tuple[int, float] = (1000, 1.0)
    """Requests and seconds of a bucket without its own rule."""
    wait_limit_s: float = 30.0
    """The longest a long poll of the control API waits."""


# Real-looking buckets, switched on by a test or by `--real-rates`. Discord publishes none; these are assumed.
REAL_RATES: dict[tuple[str, str], tuple[int, float]] = {
    ("POST", "/channels/{channel_id}/messages"): (5, 5.0),
    ("PATCH", "/channels/{channel_id}/messages/{message_id}"): (5, 5.0),
    ("PUT", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me"): (1, 0.3),
    ("POST", "/channels/{channel_id}/messages/{message_id}/threads"): (5, 5.0),
}
