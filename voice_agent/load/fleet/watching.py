"""What the server says of itself under load: its metrics, once a second, and its traces.

A server that stops answering is noted, not waited for. Works on any server with Prometheus's
process metrics at ``/metrics``; the loop's lag and the traces are our own server's.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from voice_agent.load.fleet.records import ServerSample
from voice_agent.process import cpu_ms, rss_mb

EVERY_S = 1.0
WITHIN_S = 2.0


class Watching(Protocol):
    """Who samples a server."""

    samples: list[ServerSample]
    lost_at_s: float | None
    """Wall clock of when the server stopped answering, while it does not answer."""

    async def run(self) -> None:
        """Sample until cancelled."""
        ...

    async def stats(self, since_s: float, until_s: float) -> dict[str, Any] | None:
        """Return percentiles by stage; None where the server has none."""
        ...


class ProcessWatch:
    """Samples a process of this machine as the operating system sees it: any server's. Linux."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.samples: list[ServerSample] = []
        self.lost_at_s: float | None = None

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            seen = seen_by_system(self._pid)
            if seen is None:
                self.lost_at_s = self.lost_at_s or round(time.time(), 3)
            else:
                self.samples.append(seen)
            await asyncio.sleep(EVERY_S)

    async def stats(self, since_s: float, until_s: float) -> None:
        """Return None: stages are the server's own."""


def seen_by_system(pid: int) -> ServerSample | None:
    """Return one moment of a process; None when it is gone."""
    folder = Path(f"/proc/{pid}")
    try:
        used_ms = cpu_ms(pid)
        threads, open_files = (len(list((folder / each).iterdir())) for each in ("task", "fd"))
        return ServerSample(
            at_s=round(time.time(), 3),
            sessions=0,
            cpu_s=(used_ms or 0.0) / 1000.0,
            rss_mb=round(rss_mb(pid), 1),
            lag_p99_ms=0.0,
            lag_max_ms=0.0,
            threads=threads,
            open_files=open_files,
        )
    except OSError:
        return None


class Watch:
    """Samples one of our servers, or any with Prometheus's process metrics, until cancelled.

    Args:
        url: The server's address.
        token: Bearer token for its metrics and traces, where it asks for one.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.samples: list[ServerSample] = []
        self.lost_at_s: float | None = None
        """Wall clock of when the server stopped answering, while it does not answer."""

    async def run(self) -> None:
        """Sample until cancelled."""
        async with aiohttp.ClientSession(headers=self._headers) as http:
            while True:
                began = time.monotonic()
                await self._sample(http)
                await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))

    async def _sample(self, http: aiohttp.ClientSession) -> None:
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        try:
            async with http.get(f"{self._url}/api/health", timeout=timeout) as response:
                health = await response.json(content_type=None)
            async with http.get(f"{self._url}/metrics", timeout=timeout) as response:
                metrics = read_metrics(await response.text()) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self.lost_at_s = self.lost_at_s or round(time.time(), 3)
            return
        self.lost_at_s = None
        self.samples.append(sample(health if isinstance(health, dict) else {}, metrics))

    async def stats(self, since_s: float, until_s: float) -> dict[str, Any] | None:
        """Return the percentiles by stage of the turns in between, as the server's traces have
        them; None where it has none."""
        query = {"since": f"{since_s:.3f}", "until": f"{until_s:.3f}", "buckets": "1"}
        timeout = aiohttp.ClientTimeout(total=20.0)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as http,
                http.get(f"{self._url}/api/traces/stats", params=query) as response,
            ):
                found = await response.json(content_type=None) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
        return found if isinstance(found, dict) and "stages" in found else None


def read_metrics(text: str) -> dict[str, float]:
    """Return Prometheus's text as values by sample name; those with labels are left out."""
    try:
        return {
            each.name: each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
            if not each.labels
        }
    except ValueError:
        return {}


def sample(health: dict[str, Any], metrics: dict[str, float]) -> ServerSample:
    """Return one moment of the server."""
    lag = health.get("loop_lag_ms") or {}
    sessions = health.get("sessions") or {}
    open_files = metrics.get("process_open_fds")
    rss = metrics.get("process_resident_memory_bytes")
    return ServerSample(
        at_s=round(time.time(), 3),
        sessions=int(sessions.get("active", 0)),
        cpu_s=metrics.get("process_cpu_seconds_total", 0.0),
        rss_mb=round(rss / 2**20, 1) if rss is not None else float(health.get("rss_mb", 0.0)),
        lag_p99_ms=float(lag.get("p99", 0.0)),
        lag_max_ms=float(lag.get("max", 0.0)),
        open_files=_whole(open_files),
        tasks=_whole(metrics.get("voice_agent_tasks")),
        threads=_whole(metrics.get("voice_agent_threads")),
        processes=_whole(metrics.get("voice_agent_processes")),
        metrics={name: value for name, value in metrics.items() if name.startswith("voice_agent_")
                 and not name.endswith("_created")},
    )  # fmt: skip


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
