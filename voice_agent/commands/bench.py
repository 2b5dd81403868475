"""``voice-agent bench``: how an agent takes turns, how many calls a core holds and what tracing
costs, measured from outside; how fast a language model answers."""

from __future__ import annotations

import argparse
import asyncio

from voice_agent import logs
from voice_agent.commands import bench_asr, bench_tts, fail, sigterm_as_exit
from voice_agent.process import new_event_loop

DEFAULT_PIPELINE = "fixed-latency"
DEFAULT_LLM_PIPELINE = "laptop"


def run(arguments: argparse.Namespace) -> int:
    """Measure; 0 when what is measured could be called, 1 when not, 2 on bad input."""
    logs.configure(arguments.verbose)
    if arguments.what == "llm":
        return _llm(arguments)
    if arguments.what in ("tts", "intelligibility"):
        return bench_tts.run(arguments)
    if arguments.what in ("asr", "wer"):
        return bench_asr.run(arguments)
    if arguments.what == "capacity":
        with sigterm_as_exit():
            return asyncio.run(_capacity(arguments))
    if arguments.what == "trace":
        with sigterm_as_exit():
            return asyncio.run(_trace(arguments))
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
        transports=arguments.transport or ["webrtc"],
        network=arguments.network,
        json_path=arguments.json,
    )


async def _trace(arguments: argparse.Namespace) -> int:
    from voice_agent.load.trace_cost import bench_trace

    serve = ["--pipeline", arguments.pipeline]
    serve += [f"--set={override}" for override in arguments.set]
    return await bench_trace(
        serve, turns=arguments.turns, core=arguments.core, json_path=arguments.json
    )


async def _capacity(arguments: argparse.Namespace) -> int:
    from voice_agent.load.capacity import bench_capacity

    serve = ["--pipeline", arguments.pipeline]
    serve += [f"--set={override}" for override in arguments.set]
    return await bench_capacity(
        serve,
        core=arguments.core,
        most=arguments.most,
        seconds=arguments.seconds,
        json_path=arguments.json,
    )


def _llm(arguments: argparse.Namespace) -> int:
    from voice_agent.bench.llm_command import bench_llm, bench_sweep
    from voice_agent.config_errors import ConfigError

    overrides = list(arguments.set)
    if arguments.model:
        overrides.append(f"llm.model={arguments.model}")
    if arguments.url and (overrides or arguments.pipeline != DEFAULT_LLM_PIPELINE):
        return fail("--model, --pipeline and --set are for models of this machine, without --url")
    if arguments.sweep:
        if not arguments.url or arguments.turns < 2:
            return fail("--sweep needs --url (once for each draft length) and two --turns at least")
        with sigterm_as_exit():
            return asyncio.run(
                bench_sweep(arguments.url, arguments.sweep, arguments.turns, arguments.json)
            )
    try:
        with sigterm_as_exit(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(
                bench_llm(
                    arguments.pipeline,
                    overrides,
                    urls=arguments.url,
                    draft=arguments.draft,
                    conversations=arguments.conversations,
                    turns=arguments.turns,
                    json_path=arguments.json,
                )
            )
    except ConfigError as error:
        return fail(error)
