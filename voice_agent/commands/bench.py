"""``voice-agent bench turns``: how an agent takes turns, measured from outside."""

from __future__ import annotations

import argparse
import asyncio

from voice_agent import logs
from voice_agent.commands import fail, sigterm_as_exit

DEFAULT_PIPELINE = "fixed-latency"


def run(arguments: argparse.Namespace) -> int:
    """Measure; 0 when the agents could be called, 1 when not, 2 on bad input."""
    logs.configure(arguments.verbose)
    if arguments.url and (arguments.set or arguments.pipeline != DEFAULT_PIPELINE):
        return fail("--pipeline and --set are for a server of this command's own, without --url")
    with sigterm_as_exit():
        return asyncio.run(_turns(arguments))


async def _turns(arguments: argparse.Namespace) -> int:
    from voice_agent.load.bench import bench_turns

    serve = ["--pipeline", arguments.pipeline]
    serve += [f"--set={override}" for override in arguments.set] + ["-v"] * arguments.verbose
    return await bench_turns(
        arguments.url,
        serve=serve,
        wav_dir=arguments.wav_dir,
        kinds=arguments.kinds,
        limit=arguments.limit,
        baseline=arguments.baseline,
        json_path=arguments.json,
    )
