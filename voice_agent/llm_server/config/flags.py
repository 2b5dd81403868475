"""The plan of a server whose command line says everything. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from voice_agent.llm_server.config.checkpoints import Precision
from voice_agent.llm_server.config.wish import Plan, Wish

__all__ = ["Flags", "by_flags"]

Flags = dict[str, tuple[str | None, str]]
"""Each flag with its value, None where it has none, and why it is there."""


def by_flags(
    wish: Wish,
    form: Precision,
    runtime: str,
    program: Sequence[str],
    flags: Flags,
    *,
    draft: int,
    reuse: bool,
) -> Plan:
    """Return the plan that runs ``program`` with ``flags``.

    Args:
        form: Of the weights.
        runtime: What the title calls it.
        draft: Tokens drafted a step, as the flags say.
        reuse: Prompts are reused across turns, as the flags say.
    """
    words = list(program)
    for flag, (value, _) in flags.items():
        words += [flag] if value is None else [flag, value]
    return Plan(
        runtime=wish.runtime,
        title=(
            f"{wish.checkpoint.name} ({form.upper()}) for {wish.calls} calls on {runtime} "
            f"{wish.version}, {wish.gpu.name} with {wish.gpu.memory_gib:.0f} GiB. "
            "Written by `voice-agent llm-server`."
        ),
        command=words,
        reasons={flag: why for flag, (_, why) in flags.items()},
        model=wish.checkpoint.name,
        url=f"http://{wish.host}:{wish.port}/v1",
        draft=draft,
        reuse=reuse,
    )
