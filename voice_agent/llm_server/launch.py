"""A server from its plan to its end: checked, proven where it was not yet, ready, watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from voice_agent.llm_server.config import schema
from voice_agent.llm_server.config.found import python_of
from voice_agent.llm_server.config.planning import plan
from voice_agent.llm_server.config.wish import Plan, Wish
from voice_agent.llm_server.proof import remembered
from voice_agent.llm_server.proof.client import Endpoint, ServerFault
from voice_agent.llm_server.proof.findings import Finding, lines, passed
from voice_agent.llm_server.proof.self_test import (
    COLD,
    Configured,
    Reference,
    references,
    self_test,
)
from voice_agent.llm_server.running.server import Server, ServerError

__all__ = ["SelfTest", "launch"]

SelfTest = Literal["auto", "always", "off"]
_OFF = {"chat_template_kwargs": {"enable_thinking": False}}


async def launch(
    wish: Wish,
    opening: Mapping[str, Any],
    log: Path,
    said: Callable[[str], object],
    testing: SelfTest = "auto",
    until: Callable[[Server], Any] | None = None,
) -> None:
    """Run a server until it dies or this is cancelled.

    Args:
        wish: What is to be run.
        opening: ``messages`` and ``tools`` that conversations begin with.
        log: Takes what the server writes.
        said: Is told how it goes, a line at a time.
        testing: "auto" tests each configuration once.
        until: Awaited in place of the server's death, with the server that is ready.

    Raises:
        PlanError: It cannot be run so.
        ServerError: It does not start, does not pass, or has died.
    """
    made = plan(wish)
    await _check(made, said)
    configuration = f"{made.yaml()}\n{made.shell()}"
    test = testing == "always" or (testing == "auto" and not remembered.has_passed(configuration))
    plain: list[Reference] | None = None
    if test and (made.draft or made.reuse):
        plain = await _plain(replace(wish, draft=0, reuse=False, schedule={}), opening, log, said)
    server = Server(made, log, said)
    await server.start(opening)
    try:
        if test:
            findings = await _test(made, plain)
            file = await asyncio.to_thread(remembered.remember, configuration, findings)
            for line in lines(findings):
                said(f"self-test: {line}")
            if not passed(findings):
                raise ServerError(
                    f"the self-test failed, see above and {file}; --self-test off runs it anyway"
                )
        said(f'ready: base_url = "{made.url}", model = "{made.model}"')
        if until is not None:
            await until(server)
        else:
            raise ServerError(f"{made.command[0]} has died: {await server.died()}")
    finally:
        await server.stop()


async def _check(made: Plan, said: Callable[[str], object]) -> None:
    if made.runtime != "trtllm":
        return
    try:
        python = python_of(made.runtime)
        problems = await schema.problems(made, python)
    except schema.NotInstalled:
        said(f"configuration not checked: tensorrt_llm is not importable by {python}")
        return
    if problems:
        raise ServerError("TensorRT-LLM does not take the configuration: " + "; ".join(problems))
    said("configuration checked against TensorRT-LLM's own schema")


async def _plain(
    wish: Wish, opening: Mapping[str, Any], log: Path, said: Callable[[str], object]
) -> list[Reference]:
    """Start it without drafts and reuse, once, to hear what it says then."""
    said("self-test: first without drafts and without reuse of prompts")
    server = Server(plan(wish), log.with_suffix(".plain.log"), said)
    await server.start(opening)
    try:
        async with Endpoint(server.plan.url, model=server.plan.model, fields=_OFF) as endpoint:
            return await references(endpoint)
    except ServerFault as fault:
        raise ServerError(f"the self-test cannot be made: {fault}") from fault
    finally:
        await server.stop()


async def _test(made: Plan, plain: list[Reference] | None) -> list[Finding]:
    configured = Configured(made.draft, made.reuse, cold=COLD[made.runtime])
    try:
        async with Endpoint(made.url, model=made.model, fields=_OFF) as endpoint:
            return await self_test(endpoint, configured, plain)
    except ServerFault as fault:
        raise ServerError(f"the self-test cannot be made: {fault}") from fault
