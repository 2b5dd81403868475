"""The config writer: what is run for each runtime, version and GPU, and why.

The golden files are made again with ``python -m tests.llm_server.test_config``, to be read before
they are committed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from voice_agent.llm_server.config import schema
from voice_agent.llm_server.config.checkpoints import Precision, checkpoint
from voice_agent.llm_server.config.choices import Choice, as_yaml, plain
from voice_agent.llm_server.config.found import parse_gpu
from voice_agent.llm_server.config.planning import draft_schedule, plan
from voice_agent.llm_server.config.wish import Plan, PlanError, Runtime, Version, Wish

GOLDEN = Path(__file__).parent / "golden"
H100, L40S = "NVIDIA H100 80GB HBM3:79.6:9.0", "NVIDIA L40S:45:8.9"
B200, SPARK = "NVIDIA B200:179:10.0", "NVIDIA GB10:119:12.1"


def wish(model: str, version: str, gpu: str, runtime: Runtime = "trtllm", **more: Any) -> Wish:
    return Wish(checkpoint(model), runtime, Version.parse(version), parse_gpu(gpu), **more)


WISHES = {
    "trtllm-1.3.0rc24-lightning-h100": wish("nemotron-3.5-lightning", "1.3.0rc24", H100),
    "trtllm-1.3.0rc29-lightning-h100": wish("nemotron-3.5-lightning", "1.3.0rc29", H100),
    "trtllm-1.4.0rc1-lightning-b200": wish(
        "nemotron-3.5-lightning", "1.4.0rc1", B200, calls=16, schedule={1: 3, 8: 1, 12: 0}
    ),
    "trtllm-1.4.0rc1-lightning-spark": wish("nemotron-3.5-lightning", "1.4.0rc1", SPARK),
    "trtllm-1.2.1-nano-h100": wish("nemotron-3-nano", "1.2.1", H100),
    "trtllm-1.3.0rc29-nano-4b-l40s": wish("nemotron-3-nano-4b", "1.3.0rc29", L40S),
    "vllm-0.27.1-lightning-h100": wish("nemotron-3.5-lightning", "0.27.1", H100, "vllm"),
    "vllm-0.27.1-lightning-spark": wish("nemotron-3.5-lightning", "0.27.1", SPARK, "vllm"),
    "sglang-0.6.0-lightning-h100": wish("nemotron-3.5-lightning", "0.6.0", H100, "sglang"),
}


def written(made: Plan) -> str:
    return f"{made.yaml()}\n---\n{made.shell()}" if made.file else made.shell()


@pytest.mark.parametrize("name", WISHES)
def test_what_is_run_is_what_was_read_and_agreed_on(name: str) -> None:
    """Every flag and key, with its reason, for each version and GPU."""
    assert written(plan(WISHES[name])) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", [name for name in WISHES if name.startswith("trtllm")])
def test_the_yaml_says_what_was_chosen_and_every_key_has_a_reason(name: str) -> None:
    """A YAML parser reads the same values; above each stands a comment."""
    made = plan(WISHES[name])
    text = made.yaml()
    assert yaml.safe_load(text) == plain(made.table)
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.strip().startswith("#") and not line.endswith(":"):
            assert lines[number - 1].strip().startswith("#"), line


def test_values_that_yaml_would_read_otherwise_are_quoted() -> None:
    """Words such as "off", numbers as text, and nothing at all."""
    table = {"a": Choice("off", "x"), "b": Choice("8.9", "x"), "c": Choice(None, "x")}
    table |= {"d": Choice({1: 3, 8: 0}, "x"), "e": Choice(["a: b"], "x")}
    assert yaml.safe_load(as_yaml(table, "t")) == plain(table)


def test_a_version_that_cannot_draft_is_refused() -> None:
    """With what can be done instead."""
    with pytest.raises(PlanError, match=r"TensorRT-LLM 1\.3\.0rc24 or later, this is 1\.2\.1"):
        plan(wish("nemotron-3.5-lightning", "1.2.1", H100))
    assert Version.parse("1.3.0rc24") < Version.parse("1.3.0") < Version.parse("1.4.0rc1")
    with pytest.raises(PlanError, match="is no version"):
        Version.parse("latest")


def test_a_gpu_that_is_too_small_is_refused() -> None:
    """Weights, conversations and the voice's memory do not fit; the smaller model is named."""
    with pytest.raises(PlanError, match=r"does not fit RTX 4090.*nemotron-3-nano-4b"):
        plan(wish("nemotron-3.5-lightning", "1.4.0rc1", "RTX 4090:24:8.9"))
    alone = wish("nemotron-3.5-lightning", "1.4.0rc1", "RTX 5090:31.8:12.0", reserve_gib=2.0)
    assert plan(alone).draft == 3


def test_precision_follows_the_gpu() -> None:
    """NVFP4 where it is computed or validated, else FP8 and BF16; or what is asked for."""

    def form(model: str, gpu: str, **more: Any) -> str:
        return plan(wish(model, "1.4.0rc1", gpu, **more)).command[1].rsplit("-", 1)[1]

    assert form("nemotron-3-nano", H100) == "FP8"
    assert form("nemotron-3-nano", B200) == "NVFP4"
    assert form("nemotron-3.5-lightning", "A100:80:8.0") == "BF16"
    assert form("nemotron-3-nano", H100, precision=Precision.BF16) == "BF16"
    with pytest.raises(PlanError, match="is published as nvfp4, bf16; not fp8"):
        form("nemotron-3.5-lightning", H100, precision=Precision.FP8)


def test_attention_keeps_the_dtype_the_checkpoint_was_validated_with() -> None:
    """This family is sensitive to it: fp8 for quantised weights, the model's own for BF16."""
    for asked, dtype in ((Precision.NVFP4, "fp8"), (Precision.BF16, "auto")):
        made = plan(wish("nemotron-3.5-lightning", "1.3.0rc29", B200, precision=asked))
        assert plain(made.table)["kv_cache_config"]["dtype"] == dtype


def test_reuse_is_on_from_the_version_that_keeps_recurrent_states() -> None:
    """Older ones follow the validated recipe; either can be asked for."""
    old, new = WISHES["trtllm-1.3.0rc24-lightning-h100"], WISHES["trtllm-1.3.0rc29-lightning-h100"]
    assert not plan(old).reuse
    assert plan(new).reuse
    assert plan(replace(old, reuse=True)).reuse
    assert not plan(replace(new, reuse=False)).reuse


def test_drafting_can_be_switched_off() -> None:
    """Nothing of it is left in the configuration."""
    for name in (
        "trtllm-1.3.0rc29-lightning-h100",
        "vllm-0.27.1-lightning-h100",
        "sglang-0.6.0-lightning-h100",
    ):
        made = plan(replace(WISHES[name], draft=0))
        assert made.draft == 0
        assert "speculative" not in written(made)


def test_drafts_get_shorter_with_load_and_only_where_they_pay() -> None:
    """From measured times to the first clause: 5 % is worth a longer draft, and none gets longer
    again as more answer at once."""
    measured = {
        1: {0: 100.0, 1: 80.0, 3: 60.0},
        4: {0: 120.0, 1: 100.0, 3: 99.0},
        8: {0: 150.0, 1: 160.0, 3: 90.0},
    }
    assert draft_schedule(measured) == {1: 3, 4: 1, 8: 0}
    assert draft_schedule({2: {0: 100.0, 3: 98.0}}) == {1: 0}
    assert draft_schedule({}) == {}


def library(folder: Path, body: str) -> str:
    """A FAKE of tensorrt_llm that knows only its configuration class, as ``body`` writes it."""
    package = folder / "tensorrt_llm" / "llmapi"
    package.mkdir(parents=True)
    (folder / "tensorrt_llm" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "llm_args.py").write_text(body)
    return str(folder)


STRICT = """
from pydantic import BaseModel, ConfigDict
class Draft(BaseModel):
    model_config = ConfigDict(extra="forbid")
    decoding_type: str
    max_draft_len: int
    allow_advanced_sampling: bool = False
    max_concurrency: int | None = None
    def model_post_init(self, _):
        if COUNTS_LAYERS:
            self.max_draft_len = 1
class TorchLlmArgs(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: str
    max_batch_size: int
    max_num_tokens: int
    max_seq_len: int
    trust_remote_code: bool
    kv_cache_config: dict
    moe_config: dict
    nvfp4_gemm_config: dict
    cuda_graph_config: dict
    enable_chunked_prefill: bool
    disable_overlap_scheduler: bool
    stream_interval: int
    num_postprocess_workers: int
    return_perf_metrics: bool
    perf_metrics_max_requests: int
    print_iter_log: bool
    speculative_config: Draft
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (STRICT + "\nCOUNTS_LAYERS = False", ""),
        (STRICT + "\nCOUNTS_LAYERS = True", "max_draft_len 3 is read as 1"),
        (
            "COUNTS_LAYERS = False\n" + STRICT.replace("    print_iter_log: bool\n", ""),
            "print_iter_log",
        ),
    ],
    ids=["takes it", "counts layers", "does not know a key"],
)
async def test_the_librarys_own_schema_is_asked(
    body: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown keys are found, and a draft length that the version reads as another."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([library(tmp_path, body), *sys.path]))
    said = await schema.problems(plan(WISHES["trtllm-1.3.0rc24-lightning-h100"]))
    assert found in " ".join(said)
    assert bool(said) == bool(found)


async def test_without_the_library_nothing_is_claimed() -> None:
    """It says that it could not ask."""
    with pytest.raises(schema.NotInstalled, match="tensorrt_llm"):
        await schema.problems(plan(WISHES["trtllm-1.3.0rc24-lightning-h100"]))


@pytest.mark.trtllm
@pytest.mark.parametrize("name", [name for name in WISHES if name.startswith("trtllm-1.3")])
async def test_the_installed_library_takes_it(name: str) -> None:
    """On a machine with TensorRT-LLM: the version that is installed accepts every key."""
    from importlib.metadata import version

    installed = Version.parse(version("tensorrt_llm"))
    assert not await schema.problems(plan(replace(WISHES[name], version=installed)))


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each, asked in WISHES.items():
        (GOLDEN / f"{each}.txt").write_text(written(plan(asked)))
