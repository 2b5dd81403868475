"""``voice-agent llm-server``: configures, starts, proves and keeps a language model server."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_agent.commands import fail, sigterm_as_exit

if TYPE_CHECKING:
    from voice_agent.llm_server.config.wish import Wish

RUNTIMES = ("trtllm", "vllm", "sglang")


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's flags."""
    server = commands.add_parser(
        "llm-server",
        help="run a Nemotron on TensorRT-LLM, vLLM or SGLang, configured for calls",
        description="Write the configuration for the installed version and the GPU found, start "
        "the server, warm it up with the agent's prompt, prove once that what makes it fast "
        "changes nothing, and keep it until Ctrl-C.",
    )
    add = server.add_argument
    add("--model", default="nemotron-3.5-lightning", metavar="NAME", help="(default: %(default)s)")
    add("--runtime", choices=RUNTIMES, default="trtllm")
    add("--runtime-version", metavar="V", help="plan for this version, not the installed one")
    add("--gpu", metavar="NAME:GIB:CAPABILITY", help="plan for this GPU, as in H100:80:9.0")
    add("--calls", type=_count, default=8, metavar="N", help="conversations at once")
    add("--context", type=_count, default=32768, metavar="TOKENS", help="of one conversation")
    add("--draft", type=int, metavar="N", help="tokens drafted a step; 0: none")
    add(
        "--measured",
        type=Path,
        metavar="FILE",
        help="draft lengths by load from `voice-agent bench llm --sweep --json FILE`",
    )
    add("--reuse", choices=["on", "off", "auto"], default="auto", help="of prompts across turns")
    add("--reserve", type=float, default=12.0, metavar="GIB", help="left for ears and voice")
    add("--precision", choices=["nvfp4", "fp8", "bf16"], help="(default: what the GPU does best)")
    add("--weights", default="", metavar="DIR", help="instead of the published repository")
    add("--host", default="127.0.0.1")
    add("--port", type=_count, default=8000)
    add("--print-config", action="store_true", help="show what would be run, and end")
    add(
        "--self-test",
        choices=["auto", "always", "off"],
        default="auto",
        help="auto: once for each model, version, GPU and configuration",
    )
    add(
        "--pipeline",
        default="nemotron",
        metavar="NAME|FILE",
        help="whose agent it is warmed up for (default: %(default)s)",
    )
    add("--log", type=Path, default=Path("llm-server.log"), metavar="FILE")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a number from 1 up, not {text!r}")


def run(arguments: argparse.Namespace) -> int:
    """Run the server until Ctrl-C (0); 1 when it does not start or dies, 2 on bad input."""
    from voice_agent import logs
    from voice_agent.config_errors import ConfigError
    from voice_agent.engines import EngineError
    from voice_agent.llm_server.config.planning import plan
    from voice_agent.llm_server.config.wish import PlanError
    from voice_agent.llm_server.launch import launch
    from voice_agent.llm_server.running.server import ServerError

    logs.configure(0)
    try:
        wish = _wish(arguments)
        if arguments.print_config:
            made = plan(wish)
            print(f"{made.yaml()}\n# ----- run with -----\n{made.shell()}", end="")
            return 0
        opening = _opening(arguments.pipeline)
    except (PlanError, ConfigError, EngineError, KeyError) as error:
        return fail(error.args[0] if isinstance(error, KeyError) else error)
    try:
        with sigterm_as_exit():
            asyncio.run(launch(wish, opening, arguments.log, _say, arguments.self_test))
    except PlanError as error:
        return fail(error)
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _wish(arguments: argparse.Namespace) -> Wish:
    from voice_agent.llm_server.config import found
    from voice_agent.llm_server.config.checkpoints import Precision, checkpoint
    from voice_agent.llm_server.config.wish import Version, Wish

    asked = arguments.runtime_version
    return Wish(
        checkpoint=checkpoint(arguments.model),
        runtime=arguments.runtime,
        version=Version.parse(asked) if asked else found.version_found(arguments.runtime),
        gpu=found.parse_gpu(arguments.gpu) if arguments.gpu else found.gpu_found(),
        calls=arguments.calls,
        context=arguments.context,
        draft=arguments.draft,
        schedule=_schedule(arguments.measured) if arguments.measured else {},
        reuse={"on": True, "off": False, "auto": None}[arguments.reuse],
        reserve_gib=arguments.reserve,
        precision=Precision(arguments.precision) if arguments.precision else None,
        host=arguments.host,
        port=arguments.port,
        model=arguments.weights,
    )


def _schedule(file: Path) -> dict[int, int]:
    from voice_agent.llm_server.config.planning import draft_schedule
    from voice_agent.llm_server.config.wish import PlanError

    try:
        sweep = json.loads(file.read_text())["sweep"]
        measured: dict[int, dict[int, float]] = {}
        for point in sweep:
            by_draft = measured.setdefault(int(point["at_once"]), {})
            by_draft[int(point["draft"])] = float(point["first_clause_ms"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(f"--measured {file}: no sweep can be read: {error}") from error
    return draft_schedule(measured)


def _opening(pipeline_name: str) -> dict[str, Any]:
    from voice_agent.agents.agent import AgentError, load_agent
    from voice_agent.agents.opening import opening
    from voice_agent.config import load_pipeline
    from voice_agent.engines import EngineError
    from voice_agent.llm.plain import plain_request

    pipeline = load_pipeline(pipeline_name, environ=os.environ)
    try:
        agent = load_agent(pipeline.agent)
    except AgentError as error:
        raise EngineError(str(error)) from error
    tools = agent.tool_set()
    return plain_request(opening(agent, tools, pipeline.persona, greeting=pipeline.greeting))
