"""vLLM: its command line. Pure.

After NVIDIA's usage cookbook for Nemotron 3.5 Lightning and the compose files of its voice agent
blueprint (vLLM 0.27.1).
"""

from __future__ import annotations

from voice_agent.llm_server.config.checkpoints import Precision
from voice_agent.llm_server.config.flags import Flags, by_flags
from voice_agent.llm_server.config.wish import Plan, Wish, memory, precision

__all__ = ["plan"]


def plan(wish: Wish) -> Plan:
    """Return how vLLM is run.

    Raises:
        PlanError: This GPU cannot hold the model.
    """
    form = precision(wish)
    room = memory(wish, form)
    model = wish.model or wish.checkpoint.repositories[form]
    reuse = wish.reuse is not False
    flags: Flags = {
        "--host": (wish.host, "nobody but this machine"),
        "--port": (str(wish.port), "where pipelines look for it"),
        "--served-model-name": (wish.checkpoint.name, "what pipelines call it"),
        "--trust-remote-code": (None, "the checkpoint brings its own configuration class"),
        "--max-model-len": (str(wish.context), "of a conversation, not the model's most"),
        "--max-num-seqs": (str(wish.at_once), "one answer a call"),
        "--gpu-memory-utilization": (
            f"{room.share_of_all:.2f}",
            f"of the whole GPU: weights {room.weights:.0f} GiB, work space, conversations; "
            f"{room.reserve:.0f} GiB stay free for recognition and voice",
        ),
        "--kv-cache-dtype": (
            wish.checkpoint.kv_dtype[form],
            "what the checkpoint was validated with",
        ),
        "--async-scheduling": (None, "the next step is prepared while the GPU works"),
    }
    if reuse:
        flags["--enable-prefix-caching"] = (None, "only what is new in a prompt is read")
        flags["--mamba-cache-mode"] = (
            "align",
            "without it prefix caching and drafts crash together (vllm-project/vllm#39809)",
        )
    else:
        flags["--no-enable-prefix-caching"] = (None, "as asked")
    flags |= _mamba(form) | _kernels(wish, form)
    parser = wish.checkpoint.reasoning_parsers["vllm"]
    flags["--reasoning-parser"] = (parser, "keeps thoughts out of the text")
    flags["--enable-auto-tool-choice"] = (None, "the model decides when to call a tool")
    flags["--tool-call-parser"] = (wish.checkpoint.tool_parser, "how this family writes calls")
    if wish.drafts:
        flags["--speculative_config.method"] = ("mtp", "the checkpoint's own head drafts")
        drafts = 1 if wish.gpu.spark and wish.draft is None else wish.drafts
        flags["--speculative_config.num_speculative_tokens"] = (
            str(drafts),
            "tokens drafted a step (the cookbook's number for this GPU)",
        )
        if wish.gpu.native_fp4:
            backend = "flashinfer_cutlass" if wish.gpu.spark else "triton"
            flags["--speculative_config.moe_backend"] = (backend, "cookbook: the head is BF16")
    else:
        drafts = 0
    return by_flags(wish, form, "vLLM", ["vllm", "serve", model], flags, draft=drafts, reuse=reuse)


def _mamba(form: Precision) -> Flags:
    if form is Precision.BF16:
        return {}
    return {
        "--mamba-backend": ("flashinfer", "cookbook"),
        "--mamba-ssm-cache-dtype": ("float16", "cookbook; with the rounding below"),
        "--enable-mamba-cache-stochastic-rounding": (None, "keeps float16 states from drifting"),
        "--mamba-cache-philox-rounds": ("5", "cookbook"),
    }


def _kernels(wish: Wish, form: Precision) -> Flags:
    if form is not Precision.NVFP4 or wish.gpu.native_fp4:
        return {}
    return {
        "--quantization": ("modelopt_fp4", "no FP4 tensor cores here: weights are unpacked"),
        "--moe-backend": ("marlin", "by Marlin (the blueprint's setting for Hopper and Ada)"),
    }
