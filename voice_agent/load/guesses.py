"""How often speculation was right and what it cost, as the server tells it; nothing if it does not.

Either ``GET /api/health`` has ``speculation``, an object of counters since the server's start, or
every ``latency`` message has ``figures``, the same counters for its turn: ``hits``, ``misses``,
``wasted_tokens``, ``wasted_audio_ms`` and whatever else is counted.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from voice_agent.load import wire

Counters = dict[str, float]


def told(log: wire.Log) -> Counters:
    """Add up what the ``latency`` messages say of speculation, if they say anything."""
    total: Counters = {}
    for each in log.of("latency"):
        add(total, each.data.get("figures"))
    return total


async def counted(url: str) -> Counters:
    """Return the server's own counters of speculation, if it has any."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as http,
            http.get(f"{url}/api/health") as response,
        ):
            body = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return {}
    counters = body.get("speculation") if isinstance(body, dict) else None
    return difference(counters, {}) if isinstance(counters, dict) else {}


def difference(after: dict[str, Any], before: dict[str, Any]) -> Counters:
    """Return what was counted in between."""
    return {
        key: value - before.get(key, 0)
        for key, value in after.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def add(total: Counters, more: Any) -> None:
    """Add counters to a total; what is no counter is skipped."""
    for key, value in more.items() if isinstance(more, dict) else ():
        if isinstance(value, int | float) and not isinstance(value, bool):
            total[key] = total.get(key, 0) + value


def rates(counters: Counters) -> Counters:
    """Return the counters and the share of right guesses."""
    hits, misses = counters.get("hits", 0), counters.get("misses", 0)
    rate = {"hit_rate": round(hits / (hits + misses), 3)} if hits + misses else {}
    return {**rate, **counters}
