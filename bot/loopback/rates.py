"""Rate limit buckets: one per route and major parameter, with Discord's headers on every answer.

Source: https://discord.com/developers/docs/topics/rate-limits
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Bucket:
    """A window of requests. Times are of the real clock: a client waits in real time."""

    limit: int
    window_s: float
    used: int = 0
    opened_at: float = 0.0

    def take(self, now: float) -> bool:
        """Use one request of the window; False when it is spent."""
        if now - self.opened_at >= self.window_s:
            self.opened_at, self.used = now, 0
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def left_s(self, now: float) -> float:
        """Seconds until the window opens again."""
        return max(0.0, self.opened_at + self.window_s - now)


@dataclass(kw_only=True)
class Rates:
    """All buckets of a run, and how often a caller went over an honest limit."""

    rules: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    buckets: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)
    exceeded: int = 0

    def take(
        self, method: str, route: str, major: str, default: tuple[int, float]
    ) -> tuple[bool, dict[str, str], float]:
        """Whether a call may pass, the headers for its answer, and the seconds to wait if not."""
        limit, window_s = self.rules.get((method, route), default)
        bucket = self.buckets.setdefault((method, route, major), Bucket(limit=limit, window_s=window_s))
        bucket.limit, bucket.window_s = limit, window_s
        now = time.time()
        passes = bucket.take(now)
        self.exceeded += not passes
        left_s = bucket.left_s(now)
        return passes, _headers(bucket, f"{method} {route}", left_s, now), left_s


def _headers(bucket: Bucket, name: str, left_s: float, now: float) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(bucket.limit),
        "X-RateLimit-Remaining": str(bucket.limit - bucket.used),
        "X-RateLimit-Reset": f"{now + left_s:.3f}",
        "X-RateLimit-Reset-After": f"{left_s:.3f}",
        "X-RateLimit-Bucket": hashlib.sha256(name.encode()).hexdigest()[:32],
    }


def too_many(left_s: float) -> tuple[dict[str, object], dict[str, str]]:
    """Body and headers of a 429 of one's own bucket."""
    body: dict[str, object] = {
        "message": "You are being rate limited.",
        "code": 0,
        "retry_after": round(left_s + 0.001, 3),
        "global": False,
    }
    return body, {"Retry-After": str(math.ceil(left_s)), "X-RateLimit-Scope": "user"}
