"""Whether a broker that answers takes messages, and how near it is to where it would take none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class NearLimit:
    """A limit that a broker has almost reached; behind it, it refuses."""

    name: str
    """As the server's configuration calls it: ``maxmemory``."""
    used: int
    limit: int
    unit: str
    """``bytes`` or ``connections``."""
    refuses: str
    """What it refuses when it is reached: ``every message``."""
    fix: str
    """What to do: whole sentences."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Writes:
    """Whether a broker that answers takes messages, by its own word."""

    accepted: bool | None = None
    """None when that is not known. `unknown` says why; without it, this transport cannot be asked."""
    refusal: str | None = None
    """Why it takes none: a clause such as ``it is full (...)``."""
    fix: str | None = None
    """What to do about that: whole sentences."""
    serves_connected: bool = False
    """It lets in nobody new; who is connected is served."""
    may_be_failover: bool = False
    """It refused just now as a master does that a failover replaces: no fault unless it lasts."""
    denied: bool = False
    """This user may not send, by the broker's own word; whether others may is not known."""
    alarm_over_seconds: float | None = None
    """How long ago this process was told that the alarm ended which stopped who publishes; None for never."""
    unknown: str | None = None
    """Why it is not known, and what to do: whole sentences."""
    near: tuple[NearLimit, ...] = ()
    limits_unknown: str | None = None
    """Why nobody watches how near its limits are: whole sentences."""
