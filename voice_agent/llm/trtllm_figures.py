"""Reads ``trtllm-serve``'s ``/perf_metrics`` for all conversations, and finds each its request.

What is read is gone from the server, so there is one reader, and records wait here until they are
claimed. They name no id that a client has seen: a request is known by when it arrived, on the
server's monotonic clock, which is ours on the same machine and is asked for otherwise.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

import aiohttp
from loguru import logger

from voice_agent.llm.server_figures import RequestRecord, match_record, read_perf_metrics

__all__ = ["PerfMetrics"]

_TRIES_S = (0.0, 0.05, 0.2)
"""The record is written behind the last byte of the answer: a moment later, at the first try."""
_KEPT = 1000


class PerfMetrics:
    """The one reader of a server.

    Args:
        root: The server's address, without ``/v1``.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._http: aiohttp.ClientSession | None = None
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)
        self._lock = asyncio.Lock()
        self._offset_s = 0.0
        """What the server's clock is ahead of ours."""

    async def start(self) -> bool:
        """See whether the server has records, and what its clock says; return whether it has."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0))
        if not isinstance(await self._get("/perf_metrics"), list):
            logger.info("{} keeps no figures of its requests (return_perf_metrics)", self._root)
            await self.stop()
            return False
        before = time.monotonic()
        clock = await self._get("/steady_clock_offset")
        after = time.monotonic()
        if isinstance(clock, dict) and {"receive_ts", "transmit_ts"} <= clock.keys():
            ahead = (clock["receive_ts"] - before) + (clock["transmit_ts"] - after)
            self._offset_s = ahead / 2.0
        return True

    async def of(self, sent_s: float, first_token_s: float) -> RequestRecord | None:
        """Return the record of a request that has ended; None when there is none after all.

        Args:
            sent_s: When it was sent, by our clock.
            first_token_s: When its first token came.
        """
        sent_s, first_token_s = sent_s + self._offset_s, first_token_s + self._offset_s
        for pause_s in _TRIES_S:
            await asyncio.sleep(pause_s)
            async with self._lock:
                # Somebody else may have read it while this one waited.
                record = match_record(self._records, sent_s, first_token_s)
                if record is None:
                    self._records.extend(read_perf_metrics(await self._get("/perf_metrics")))
                    record = match_record(self._records, sent_s, first_token_s)
                if record is not None:
                    self._records.remove(record)
                    return record
        return None

    async def stop(self) -> None:
        """Close the connections."""
        if self._http is not None:
            http, self._http = self._http, None
            await http.close()

    async def _get(self, path: str) -> object:
        if self._http is None:
            return None
        try:
            async with self._http.get(self._root + path) as response:
                if response.status != 200:
                    return None
                body: object = await response.json(content_type=None)
                return body
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
