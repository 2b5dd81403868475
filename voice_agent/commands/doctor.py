"""``voice-agent doctor``: what works on this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from dataclasses import asdict

from voice_agent import logs
from voice_agent.process import new_event_loop


def run(arguments: argparse.Namespace) -> int:
    """Print one line a check; 1 when calls do not work here."""
    logs.configure()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_report(arguments))


async def _report(arguments: argparse.Namespace) -> int:
    from voice_agent.doctor import Status, examine

    checks = []
    async for check in examine(arguments.pipeline, arguments.set, dict(os.environ)):
        checks.append(check)
        if not arguments.json:
            todo = f"\n{'':<18}-> {check.todo}" if check.todo else ""
            print(f"{check.status:<4}  {check.name:<11} {check.found}{todo}", flush=True)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    return 1 if any(check.status is Status.FAIL for check in checks) else 0
