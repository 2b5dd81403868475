"""TensorRT-LLM: its YAML and its command line. Pure.

What is written follows NVIDIA's recipe for Nemotron 3.5 Lightning (the usage cookbook of
NVIDIA-NeMo/Nemotron, TensorRT-LLM 1.3.0rc24 on one H100), the API reference of each version, and
``examples/auto_deploy/nano_v3.yaml`` for Nemotron-3-Nano. What is ours says so.
"""

from __future__ import annotations

from voice_agent.llm_server.config.checkpoints import Precision
from voice_agent.llm_server.config.choices import Choice, Table
from voice_agent.llm_server.config.wish import (
    Memory,
    Plan,
    PlanError,
    Version,
    Wish,
    kv_choice,
    memory,
    precision,
)

__all__ = ["FILE", "plan"]

FILE = "trtllm.yaml"
MTP_SINCE = Version(1, 3, 0, 24)
"""The release the recipe was validated with; before it the drafting head of this family does not
load, or its recurrent state is not rolled back."""
REUSE_SINCE = Version(1, 3, 0, 27)
"""The cache manager that snapshots recurrent states is documented from here on."""


def plan(wish: Wish) -> Plan:
    """Return how TensorRT-LLM is run.

    Raises:
        PlanError: This version or this GPU cannot.
    """
    form = precision(wish)
    if wish.checkpoint.mtp and wish.version < MTP_SINCE:
        raise PlanError(
            f"{wish.checkpoint.name} needs TensorRT-LLM {MTP_SINCE} or later, this is "
            f"{wish.version}; use that image, or --model nemotron-3-nano"
        )
    table = _autodeploy(wish, form) if _by_autodeploy(wish) else _pytorch(wish, form)
    room = memory(wish, form)
    model = wish.model or wish.checkpoint.repositories[form]
    title = (
        f"{wish.checkpoint.name} ({form.upper()}) for {wish.calls} calls on TensorRT-LLM "
        f"{wish.version}, {wish.gpu.name} with {wish.gpu.memory_gib:.0f} GiB: weights "
        f"{room.weights:.0f} GiB, conversations {room.conversations:.1f} GiB at most, "
        f"{room.reserve:.0f} GiB left for speech. Written by `voice-agent llm-server`."
    )
    command, reasons = _command(wish, model)
    return Plan(
        runtime="trtllm",
        title=title,
        command=command,
        reasons=reasons,
        model=wish.checkpoint.name if _names_models(wish.version) else model,
        url=f"http://{wish.host}:{wish.port}/v1",
        draft=wish.drafts,
        reuse=_reuses(wish),
        file=FILE,
        table=table,
        environment={"TRTLLM_ENABLE_PDL": "1"} if _by_autodeploy(wish) else {},
    )


def _pytorch(wish: Wish, form: Precision) -> Table:
    room = memory(wish, form)
    table: dict[str, Choice | Table] = {
        **_size(wish),
        "kv_cache_config": _kv_cache(wish, form, room),
        **_kernels(wish, form),
        "cuda_graph_config": {
            "enable_padding": Choice(True, "any number of answers at once runs from a graph"),
            "max_batch_size": Choice(wish.at_once, "one answer a call: no larger batch comes"),
        },
        "enable_chunked_prefill": Choice(
            True, "a long prompt is read in pieces, and answers under way go on in between"
        ),
        "disable_overlap_scheduler": Choice(
            False, "the next step is prepared while the GPU works; validated with MTP"
        ),
        "stream_interval": Choice(
            1, "every token is sent at once: the voice waits for the first clause (recipe: 10)"
        ),
        "num_postprocess_workers": Choice(
            0, "ours: for so few streams another process costs each token a hop (recipe: 4)"
        ),
        **_figures(),
    }
    if wish.drafts:
        table["speculative_config"] = _speculative(wish)
    return table


def _size(wish: Wish) -> dict[str, Choice]:
    return {
        "max_batch_size": Choice(wish.at_once, "one answer a call"),
        "max_num_tokens": Choice(
            8192, "of prompts in one step (recipe): more only holds answers under way up"
        ),
        "max_seq_len": Choice(
            wish.context, "tokens of a conversation, not the model's most: memory is shared"
        ),
        "trust_remote_code": Choice(True, "the checkpoint brings its own configuration class"),
    }


def _kv_cache(wish: Wish, form: Precision, room: Memory) -> Table:
    reuse = _reuses(wish)
    table: dict[str, Choice | Table] = {
        "dtype": kv_choice(wish, form),
        "enable_block_reuse": Choice(
            reuse,
            "a turn's prompt is the last one's and a little more: only what is new is read"
            if reuse
            else "off as in the validated recipe; recurrent states are not kept for a later turn "
            "here, and attention alone cannot be reused",
        ),
        "free_gpu_memory_fraction": Choice(
            room.share_of_free,
            f"of the {room.free_after_weights:.0f} GiB left by the weights; "
            f"{room.reserve:.0f} GiB stay free for recognition and voice, and conversations need "
            f"{room.conversations:.1f} (recipe: 0.8, a GPU of its own)",
        ),
        "mamba_ssm_cache_dtype": Choice("float16", "recipe; with the rounding below"),
        "mamba_ssm_stochastic_rounding": Choice(
            True, "recipe: keeps float16 states from drifting in one direction"
        ),
        "mamba_ssm_philox_rounds": Choice(5, "recipe"),
    }
    if reuse:
        table["use_kv_cache_manager_v2"] = Choice(
            True, "the manager that reuses recurrent states and takes rejected drafts back"
        )
        table["enable_partial_reuse"] = Choice(True, "prompts part in the middle of a block")
        table["copy_on_partial_reuse"] = Choice(
            True, "conversations with the same beginning do not wait for each other's blocks"
        )
    table["mamba_state_config"] = {
        "periodic_snapshot_interval": Choice(
            256 if reuse else 8192,
            "recurrent states can only be taken up at snapshots: at most 255 tokens are read again"
            if reuse
            else "recipe: next to none, as nothing is reused",
        )
    }
    return table


def _kernels(wish: Wish, form: Precision) -> Table:
    if not wish.checkpoint.moe:
        return {}
    if form is not Precision.NVFP4:
        backend, why = "CUTLASS", "what NVIDIA's cookbook uses for BF16"
    elif wish.gpu.spark:
        backend, why = "CUTEDSL", "what NVIDIA's cookbook uses on DGX Spark"
    elif wish.gpu.native_fp4:
        return {}  # the library's own choice is the FP4 tensor cores'
    else:
        backend, why = "MARLIN", "no FP4 tensor cores here: Marlin unpacks the 4-bit experts"
    table: dict[str, Choice | Table] = {"moe_config": {"backend": Choice(backend, why)}}
    if backend == "MARLIN":
        table["nvfp4_gemm_config"] = {
            "allowed_backends": Choice(
                ["marlin", "cutlass", "cublaslt", "cuda_core"], "recipe for Hopper and Ada"
            )
        }
    return table


def _speculative(wish: Wish) -> Table:
    schedule = dict(wish.schedule)
    table: dict[str, Choice | Table] = {
        "decoding_type": Choice("MTP", "the checkpoint's own head drafts"),
        "max_draft_len": Choice(
            wish.drafts,
            "tokens drafted a step; earlier 1.x called it num_nextn_predict_layers and silently "
            "drafts 1 with this name, so the self-test reads back what is in force. The number of "
            "layers comes from the checkpoint",
        ),
        "allow_advanced_sampling": Choice(
            True, "recipe: drafts are accepted at temperatures above 0 too"
        ),
    }
    if schedule:
        table["draft_len_schedule"] = Choice(
            schedule,
            "measured with `voice-agent bench llm`: from so many answers at once on, so many "
            "tokens; 0 where drafting does not pay",
        )
    else:
        table["max_concurrency"] = Choice(
            wish.at_once,
            "no drafts above this load, where checking them only takes from others; measure with "
            "`voice-agent bench llm --url`, and see --measured",
        )
    return table


def _figures() -> Table:
    return {
        "return_perf_metrics": Choice(
            True, "queue, prefill, decode, reused blocks and acceptance of each request, for traces"
        ),
        "perf_metrics_max_requests": Choice(1000, "kept until they are read"),
        "print_iter_log": Choice(False, "a line for each step tells nobody anything (recipe: on)"),
    }


def _autodeploy(wish: Wish, form: Precision) -> Table:
    room = memory(wish, form)
    sizes = sorted({size for size in (1, 2, 4, 8, 16, 24, 32) if size < wish.at_once})
    return {
        "runtime": Choice("trtllm", "as in examples/auto_deploy/nano_v3.yaml"),
        "compile_backend": Choice("torch-cudagraph", "the same; each step runs from a graph"),
        "attn_backend": Choice("flashinfer", "the same"),
        "model_factory": Choice("AutoModelForCausalLM", "the same"),
        "skip_loading_weights": Choice(False, "the same"),
        **_size(wish),
        "enable_chunked_prefill": Choice(
            True, "a long prompt is read in pieces, and answers under way go on in between"
        ),
        "free_mem_ratio": Choice(
            room.share_of_free,
            f"of what the weights leave; {room.reserve:.0f} GiB stay free for recognition and "
            "voice (example: 0.9)",
        ),
        "cuda_graph_batch_sizes": Choice([*sizes, wish.at_once], "no larger batch comes"),
        "stream_interval": Choice(1, "every token is sent at once"),
        "kv_cache_config": {
            "enable_block_reuse": Choice(
                False, "not supported for recurrent models on this path (the example says so)"
            )
        },
        "transforms": {
            "detect_sharding": {
                "sharding_source": Choice(["factory", "heuristic"], "as in the example"),
                "sharding_dims": Choice(["ep", "bmm"], "as in the example"),
                "allreduce_strategy": Choice("AUTO", "as in the example"),
            },
            "multi_stream_moe": {
                "stage": Choice("compile", "as in the example"),
                "enabled": Choice(True, "shared and routed experts at the same time"),
            },
            "insert_cached_ssm_attention": {
                "cache_config": {
                    "mamba_dtype": Choice(None, "for speed; float32 where accuracy is short")
                }
            },
            "fuse_mamba_a_log": {
                "stage": Choice("post_load_fusion", "as in the example"),
                "enabled": Choice(True, "as in the example"),
            },
        },
        **_figures(),
    }


def _command(wish: Wish, model: str) -> tuple[list[str], dict[str, str]]:
    parser = wish.checkpoint.reasoning_parsers["trtllm"]
    reasons = {
        "--host": "nobody but this machine; put a proxy with a key before anything else",
        "--reasoning_parser": "keeps thoughts out of the text where a request allows any",
        "--tool_parser": "how this family writes tool calls",
        "--served_model_name": "what pipelines call it, whatever the precision",
        "--backend": "the path NVIDIA documents for this model",
    }
    words = ["trtllm-serve", model, "--host", wish.host, "--port", str(wish.port)]
    if _by_autodeploy(wish):
        words += ["--backend", "_autodeploy"]
    if not wish.checkpoint.mtp:
        parser = "nano-v3"  # the older name, which every version with this family knows
    if _names_models(wish.version):
        words += ["--served_model_name", wish.checkpoint.name]
    words += ["--reasoning_parser", parser, "--tool_parser", wish.checkpoint.tool_parser]
    words += ["--extra_llm_api_options", FILE]
    return words, reasons


def _names_models(version: Version) -> bool:
    """Whether ``--served_model_name`` is known; without it the repository is the name."""
    return version >= MTP_SINCE


def _by_autodeploy(wish: Wish) -> bool:
    """Whether NVIDIA documents this model for the AutoDeploy backend."""
    return wish.checkpoint.moe and not wish.checkpoint.mtp


def _reuses(wish: Wish) -> bool:
    if _by_autodeploy(wish):
        return False
    return wish.version >= REUSE_SINCE if wish.reuse is None else wish.reuse
