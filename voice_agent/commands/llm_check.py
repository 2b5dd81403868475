"""``voice-agent llm-check``: whether a language model server can hold a conversation."""

from __future__ import annotations

import argparse
import asyncio
import json
import os

from voice_agent.commands import fail


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's flags."""
    check = commands.add_parser(
        "llm-check",
        help="ask a language model server everything a voice needs of it",
        description="Check any OpenAI-compatible server: streaming, tools, hanging up, reuse of "
        "the prompt, thinking switched off, errors. Exits with 0 when calls can be held, 1 when "
        "not, 2 when nothing answers.",
    )
    check.add_argument("url", metavar="URL", help="its address, up to and including /v1")
    add_server_flags(check)
    check.add_argument("--json", action="store_true", help="print the findings as JSON")


def add_server_flags(command: argparse.ArgumentParser) -> None:
    """Add what says how a server is spoken to."""
    command.add_argument(
        "--model", default="", metavar="NAME", help="one of those it serves (default: the first)"
    )
    command.add_argument(
        "--api-key-env", default="", metavar="NAME", help="the environment variable with its key"
    )
    command.add_argument(
        "--reasoning",
        choices=["off", "server"],
        default="off",
        help="off: send chat_template_kwargs.enable_thinking = false; server: send nothing",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run every check; print each as it is done."""
    if arguments.api_key_env and not os.environ.get(arguments.api_key_env):
        return fail(f"--api-key-env: the environment variable {arguments.api_key_env} is not set")
    return asyncio.run(_check(arguments))


async def _check(arguments: argparse.Namespace) -> int:
    from voice_agent.llm_server.proof.client import Endpoint, ServerFault
    from voice_agent.llm_server.proof.contract import check
    from voice_agent.llm_server.proof.findings import Finding, as_json, lines, passed

    def say(finding: Finding) -> None:
        if not arguments.json:
            print(*lines([finding], width=14), sep="\n", flush=True)

    off = {"chat_template_kwargs": {"enable_thinking": False}}
    endpoint = Endpoint(
        arguments.url,
        key=os.environ.get(arguments.api_key_env, ""),
        model=arguments.model,
        fields=off if arguments.reasoning == "off" else {},
    )
    try:
        async with endpoint:
            findings = await check(endpoint, say)
    except ServerFault as fault:
        return fail(f"{arguments.url} is no language model server that answers: {fault}")
    if arguments.json:
        print(json.dumps(as_json(findings), indent=2))
    return 0 if passed(findings) else 1
