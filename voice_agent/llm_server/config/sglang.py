"""SGLang: its command line. Pure. After NVIDIA's usage cookbook for Nemotron 3.5 Lightning."""

from __future__ import annotations

from voice_agent.llm_server.config.flags import Flags, by_flags
from voice_agent.llm_server.config.wish import Plan, Wish, memory, precision

__all__ = ["plan"]


def plan(wish: Wish) -> Plan:
    """Return how SGLang is run.

    Raises:
        PlanError: This GPU cannot hold the model.
    """
    form = precision(wish)
    room = memory(wish, form)
    model = wish.model or wish.checkpoint.repositories[form]
    reuse = wish.reuse is not False
    flags: Flags = {
        "--model-path": (model, "the weights"),
        "--host": (wish.host, "nobody but this machine"),
        "--port": (str(wish.port), "where pipelines look for it"),
        "--served-model-name": (wish.checkpoint.name, "what pipelines call it"),
        "--trust-remote-code": (None, "the checkpoint brings its own configuration class"),
        "--context-length": (str(wish.context), "of a conversation, not the model's most"),
        "--max-running-requests": (str(wish.at_once), "one answer a call"),
        "--mamba-ssm-dtype": ("float16", "cookbook"),
        "--mem-fraction-static": (
            f"{room.share_of_all:.2f}",
            f"of the whole GPU; {room.reserve:.0f} GiB stay free for recognition and voice "
            "(cookbook: 0.85, a GPU of its own)",
        ),
        "--cuda-graph-max-bs-decode": (str(wish.at_once), "no larger batch comes"),
        "--stream-interval": ("1", "every token is sent at once"),
        "--reasoning-parser": (
            wish.checkpoint.reasoning_parsers["sglang"],
            "keeps thoughts out of the text",
        ),
        "--tool-call-parser": (wish.checkpoint.tool_parser, "how this family writes calls"),
        "--enable-metrics": (None, "requests running, acceptance: for checks and traces"),
    }
    if not reuse:
        flags["--disable-radix-cache"] = (None, "as asked: no reuse of prompts")
    if wish.drafts:
        flags["--speculative-algorithm"] = ("EAGLE", "how SGLang calls drafts by an MTP head")
        flags["--speculative-draft-model-path"] = (model, "the head is in the same checkpoint")
        flags["--speculative-num-steps"] = (str(wish.drafts), "tokens drafted a step")
        flags["--speculative-eagle-topk"] = ("1", "one chain of drafts, no tree")
        flags["--speculative-num-draft-tokens"] = (
            str(wish.drafts + 1),
            "the drafts and the token they follow",
        )
    return by_flags(
        wish, form, "SGLang", ["sglang", "serve"], flags, draft=wish.drafts, reuse=reuse
    )
