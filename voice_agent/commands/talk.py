"""``voice-agent talk``: a conversation on this machine's microphone and speaker."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from typing import Any

from voice_agent import logs
from voice_agent.commands import fail
from voice_agent.config import Pipeline, load_pipeline
from voice_agent.config_errors import ConfigError
from voice_agent.process import new_event_loop


def run(arguments: argparse.Namespace) -> int:
    """Talk until Ctrl-C; 2 when this machine has no sound or the pipeline cannot be used."""
    logs.configure(arguments.verbose - 1)
    from voice_agent.transports.microphone import NoSound, load_sounddevice

    try:
        sounddevice = load_sounddevice()
        pipeline = load_pipeline(arguments.pipeline, arguments.set, os.environ)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_talk(pipeline, sounddevice))
    except (NoSound, ConfigError) as error:
        return fail(error)


async def _talk(pipeline: Pipeline, sounddevice: Any) -> int:
    from voice_agent.conversation import Conversation
    from voice_agent.engines import EngineError
    from voice_agent.resources import Resources
    from voice_agent.trace.errors import TraceError
    from voice_agent.trace.tracing import Tracing
    from voice_agent.transports.microphone import Microphone

    try:
        resources, tracing = Resources(pipeline), Tracing(pipeline)
        await resources.start()
    except EngineError as error:
        return fail(error)
    try:
        await tracing.start()
        microphone = Microphone(_show)
        conversation = Conversation(resources, microphone, tracing=tracing)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, conversation.hang_up, "gone")
        microphone.open(sounddevice)
        print("Speak when you like; headphones keep the agent from hearing itself. Ctrl-C ends.")
        reason = await conversation.run()
    except TraceError as error:
        return fail(error)
    finally:
        await tracing.stop()
        await resources.stop()
    return 1 if reason == "error" else 0


def _show(message: dict[str, Any]) -> None:
    """Print what a person wants to see of a conversation's messages."""
    content = message.get("data") or {}
    match content.get("type") if message.get("type") == "server-message" else None:
        case "user-turn":
            print(f"you:   {content['text']}")
        case "agent-turn":
            print(f"agent: {content['text']}{' [interrupted]' if content['interrupted'] else ''}")
        case "latency":
            print(f"       [{content['v2v_ms']:.0f} ms]")
        case "goodbye":
            print(content["text"], file=sys.stderr)
