"""What works on this machine, and what to do about what does not.

Each check does the real thing: loads the engine, takes the port, connects over WebRTC. One that
fails does not keep the others from being made.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from voice_agent.config import STAGES, EngineChoice, Pipeline, load_pipeline
from voice_agent.config_errors import ConfigError
from voice_agent.engines import EngineContext, EngineError, Stage, engine_class
from voice_agent.paths import shown, web_dir
from voice_agent.ports import PortError, bind
from voice_agent.process import free_memory_bytes

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ENOUGH_MEMORY_GB = 1.0
ENOUGH_DISK_GB = 0.5
CHECK_TIMEOUT_S = 60.0


class Status(StrEnum):
    """The verdict of a check."""

    OK = "ok"
    WARN = "warn"
    """Calls work; something beside them does not."""
    FAIL = "fail"
    """Calls do not work."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    status: Status
    found: str
    todo: str = ""
    """What to do about it; empty when nothing."""


Examine = Callable[[], Awaitable[Check]]


async def examine(
    pipeline_name: str, overrides: Sequence[str] = (), environ: dict[str, str] | None = None
) -> AsyncIterator[Check]:
    """Make every check, one after the other, and yield each when it is done."""
    yield _python()
    yield _event_loop()
    yield _memory()
    yield _disk()
    yield _page()
    try:
        pipeline = load_pipeline(pipeline_name, overrides, environ or os.environ)
    except ConfigError as error:
        for problem in error.problems:
            yield Check("pipeline", Status.FAIL, str(problem), "correct it")
    else:
        yield Check("pipeline", Status.OK, f"{pipeline.name} ({shown(pipeline.file)})")
        yield _port(pipeline)
        async for check in _speech(pipeline):
            yield check
    yield await _bounded("webrtc", _webrtc)
    yield _microphone()
    yield _chromium()


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    found += f", {os.cpu_count()} CPUs"
    return Check("python", Status.OK, found)


def _event_loop() -> Check:
    try:
        found = f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        slower = "asyncio's own: fewer calls at once"
        todo = "" if sys.platform == "win32" else "install uvloop"
        return Check("event loop", Status.WARN, slower, todo)
    return Check("event loop", Status.OK, found)


def _memory() -> Check:
    free = free_memory_bytes()
    if free is None:
        return Check("memory", Status.OK, "not known on this system")
    free_gb = free / 2**30
    if free_gb < ENOUGH_MEMORY_GB:
        return Check("memory", Status.WARN, f"{free_gb:.1f} GiB free", "end other programs")
    return Check("memory", Status.OK, f"{free_gb:.1f} GiB free")


def _disk() -> Check:
    free_gb = shutil.disk_usage(Path.cwd()).free / 2**30
    if free_gb < ENOUGH_DISK_GB:
        return Check("disk", Status.WARN, f"{free_gb:.1f} GiB free", "make room")
    return Check("disk", Status.OK, f"{free_gb:.1f} GiB free")


def _page() -> Check:
    index = web_dir() / "index.html"
    if not index.is_file():
        return Check("page", Status.FAIL, f"{shown(index)} is missing", "install the package again")
    text = index.read_text(encoding="utf-8")
    named = [part.split('"')[0] for part in text.split('"./')[1:]]
    if missing := [name for name in named if not (web_dir() / name).is_file()]:
        todo = "npm --prefix web ci && npm --prefix web run build"
        return Check("page", Status.FAIL, f"lacks {', '.join(missing)}", todo)
    return Check("page", Status.OK, shown(web_dir()))


def _port(pipeline: Pipeline) -> Check:
    server = pipeline.server
    try:
        bind(server.host, server.port).close()
    except PortError as error:
        return Check("port", Status.WARN, str(error), "see there")
    return Check("port", Status.OK, f"{server.host}:{server.port} is free")


async def _speech(pipeline: Pipeline) -> AsyncIterator[Check]:
    from voice_agent.agents.agent import AgentError, load_agent

    try:
        agent = load_agent(pipeline.agent)
    except AgentError as error:
        yield Check("agent", Status.FAIL, str(error), "correct it")
        return
    yield Check("agent", Status.OK, f"{agent.name} ({shown(pipeline.agent)})")
    context = EngineContext(pipeline.search_path, agent.phrases())
    for stage in STAGES:
        choice: EngineChoice = getattr(pipeline, stage)
        yield await _bounded(stage, lambda s=stage, c=choice: _engine(s, c, context))  # type: ignore[misc]
    yield await _bounded("turn models", _turn_models)


async def _engine(stage: Stage, choice: EngineChoice, context: EngineContext) -> Check:
    began = time.monotonic()
    engine = engine_class(stage, choice.engine)(choice.settings, context)
    try:
        await engine.start()
        loaded = f"{choice.engine} loads in {time.monotonic() - began:.1f} s"
        about = engine.about()
    finally:
        await engine.stop()
    return Check(stage, Status.OK, f"{loaded}: {about}" if about else loaded)


async def _turn_models() -> Check:
    from voice_agent.turns.vad import Vad
    from voice_agent.turns.words import WordModel

    await Vad().start()
    await asyncio.to_thread(WordModel.load)
    return Check("turn models", Status.OK, "voice detection and word model load")


async def _webrtc() -> Check:
    """Connect two peers of this process with each other: UDP, ICE, DTLS and a data channel."""
    from aiortc import RTCPeerConnection

    began = time.monotonic()
    caller, callee = RTCPeerConnection(), RTCPeerConnection()
    opened = asyncio.Event()
    try:
        caller.createDataChannel("doctor").on("open", opened.set)
        await caller.setLocalDescription(await caller.createOffer())
        await callee.setRemoteDescription(caller.localDescription)
        await callee.setLocalDescription(await callee.createAnswer())
        await caller.setRemoteDescription(callee.localDescription)
        await asyncio.wait_for(opened.wait(), 10)
    except TimeoutError:
        todo = "allow UDP between this machine's own addresses (firewall, VPN)"
        return Check("webrtc", Status.FAIL, "two local peers do not connect in 10 s", todo)
    finally:
        await asyncio.gather(caller.close(), callee.close())
    return Check("webrtc", Status.OK, f"connects in {(time.monotonic() - began) * 1000:.0f} ms")


def _microphone() -> Check:
    from voice_agent.transports.microphone import NoSound, load_sounddevice

    try:
        sounddevice: Any = load_sounddevice()
    except NoSound as error:
        return Check("microphone", Status.WARN, str(error), "only `voice-agent talk` needs it")
    device = sounddevice.query_devices(kind="input")["name"]
    return Check("microphone", Status.OK, str(device))


def _chromium() -> Check:
    chosen = os.environ.get("CHROMIUM")
    for name in (chosen,) if chosen else CHROMIUMS:
        if found := shutil.which(name):
            return Check("chromium", Status.OK, found)
    todo = "only the browser tests need it: install chromium, or set CHROMIUM to its path"
    return Check("chromium", Status.WARN, f"no {chosen or 'Chromium'} found", todo)


async def _bounded(name: str, check: Examine) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return Check(name, Status.FAIL, f"not done after {CHECK_TIMEOUT_S:.0f} s", "see the log")
    except (EngineError, OSError, ImportError) as error:
        return Check(name, Status.FAIL, str(error) or type(error).__name__, "see there")
