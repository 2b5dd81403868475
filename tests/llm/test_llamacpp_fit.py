"""What is said before a model is loaded: no such file, not a model, does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.llm.loading import engine
from tests.llm.tiny_gguf import CONTEXT, random_model
from voice_agent.engines import EngineContext, EngineError
from voice_agent.llm.gguf_header import GgufHeader, read_header
from voice_agent.llm.llamacpp import LlamaCppEngine, LlamaCppSettings
from voice_agent.llm.llamacpp_fit import check_fit, needs_of
from voice_agent.llm.llamacpp_wire import Load

GB = 10**9

NANO_30B = GgufHeader(
    Path("Nemotron-3-Nano-30B-A3B-Q4_K_M.gguf"),
    {
        "general.architecture": "nemotron_h_moe",
        "nemotron_h_moe.block_count": 52,
        "nemotron_h_moe.context_length": 1_048_576,
        "nemotron_h_moe.embedding_length": 2688,
        "nemotron_h_moe.attention.head_count": 32,
        "nemotron_h_moe.attention.head_count_kv": [0] * 46 + [2] * 6,
        "nemotron_h_moe.feed_forward_length": [0] * 23 + [1856] * 23 + [0] * 6,
        "nemotron_h_moe.attention.key_length": 128,
        "nemotron_h_moe.attention.value_length": 128,
        "nemotron_h_moe.ssm.conv_kernel": 4,
        "nemotron_h_moe.ssm.inner_size": 4096,
        "nemotron_h_moe.ssm.state_size": 128,
        "nemotron_h_moe.ssm.group_count": 8,
        "tokenizer.ggml.model": "gpt2",
    },
    24 * GB,
)
"""The shape of a real model; the size is about that of its file at 4 bits."""


def test_a_header_says_what_the_file_holds(models: Path) -> None:
    """Architecture, trained context, heads of each layer, drafting layers, size."""
    header = read_header(models / "hello.gguf")
    assert header.architecture == "nemotron_h_moe"
    assert header.trained_context == CONTEXT
    assert header.of_model("attention.head_count_kv") == [0, 0, 2, 0, 2]
    assert header.drafting_layers == 1
    assert header.size_bytes == (models / "hello.gguf").stat().st_size
    assert header.values["tokenizer.chat_template"].startswith("{%- macro")


def test_a_large_vocabulary_is_passed_over(tmp_path: Path) -> None:
    """Long arrays of numbers and words are skipped, and what follows them is still found."""
    file = random_model(
        tmp_path / "long.gguf", a_list=list(range(5000)), words=["word"] * 5000, last=7
    )
    header = read_header(file)
    assert header.of_model("a_list") is None
    assert header.of_model("words") is None
    assert header.of_model("last") == 7
    assert header.values["tokenizer.ggml.model"] == "gpt2"


async def test_no_model_named() -> None:
    """A pipeline that leaves the model to its user says how to name it."""
    made = LlamaCppEngine(LlamaCppSettings(), EngineContext([]))
    with pytest.raises(EngineError, match=r"--set llm\.model="):
        await made.start()


async def test_no_such_file(tmp_path: Path) -> None:
    """The places looked at are named."""
    with pytest.raises(EngineError, match=r"file not found: .*none\.gguf"):
        async with engine(tmp_path / "none.gguf"):
            pass


async def test_a_folder_without_a_gguf(tmp_path: Path) -> None:
    """A model's folder must hold one."""
    with pytest.raises(EngineError, match="holds no GGUF"):
        async with engine(tmp_path):
            pass


async def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    """Weights of another kind are not handed to llama.cpp."""
    file = tmp_path / "model.gguf"
    file.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(EngineError, match="is not a GGUF file"):
        async with engine(file):
            pass


async def test_a_file_that_was_cut_off(models: Path, tmp_path: Path) -> None:
    """A download that broke off says so: at once in its header, and later by llama.cpp."""
    whole = (models / "hello.gguf").read_bytes()
    file = tmp_path / "model.gguf"
    file.write_bytes(whole[:1000])
    with pytest.raises(EngineError, match="damaged or cut off"):
        async with engine(file):
            pass
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EngineError, match=r"model\.gguf cannot be loaded: .*file bounds"):
        async with engine(file):
            pass


def test_a_part_without_the_others(models: Path, tmp_path: Path) -> None:
    """A model in several files needs all of them."""
    file = tmp_path / "big-00001-of-00002.gguf"
    file.write_bytes((models / "hello.gguf").read_bytes())
    with pytest.raises(EngineError, match=r"big-00002-of-00002\.gguf is not beside it"):
        read_header(file)
    (tmp_path / "big-00002-of-00002.gguf").write_bytes(b"x" * 1000)
    assert read_header(file).size_bytes == file.stat().st_size + 1000


async def test_speculation_without_a_drafting_head(tmp_path: Path) -> None:
    """The setting that asks for it is named."""
    file = random_model(tmp_path / "plain.gguf", mtp=False)
    with pytest.raises(EngineError, match=r"llm\.speculative: plain\.gguf has no head"):
        async with engine(file, speculative={"draft": 2}):
            pass


async def test_a_context_longer_than_trained(models: Path) -> None:
    """Beyond what it was trained for a model only writes noise."""
    with pytest.raises(EngineError, match=r"4096 tokens that hello\.gguf was trained for"):
        async with engine(models / "hello.gguf", context=5000):
            pass


def test_a_model_too_large_for_the_memory() -> None:
    """What it needs, what there is, and what can be changed."""
    load = Load("x", context=8192, slots=2)
    check_fit(NANO_30B, load, 32 * GB)
    with pytest.raises(EngineError, match=r"needs about 2\d\.\d GB .*16\.0 GB are free"):
        check_fit(NANO_30B, load, 16 * GB)
    check_fit(NANO_30B, load, None)
    check_fit(NANO_30B, replace(load, gpu_layers=999), 16 * GB)


def test_what_conversations_cost() -> None:
    """Keys and values grow with the context, states with drafts and checkpoints."""
    one = needs_of(NANO_30B, Load("x", context=8192, slots=1, checkpoints=1)).conversations
    # 6 layers x 2 heads x (128 + 128) x 2 bytes x 8192 tokens, and 23 x 2.2 MB of state, twice.
    assert one == 6 * 2 * 256 * 2 * 8192 + 23 * 4 * (4096 * 128 + 3 * 6144) * 2
    four = needs_of(NANO_30B, Load("x", context=8192, slots=4, checkpoints=1)).conversations
    assert four == 4 * one
    drafting = needs_of(NANO_30B, Load("x", context=8192, checkpoints=1, draft=2)).conversations
    assert drafting > one


def test_a_file_without_a_language_model() -> None:
    """A projector or an adapter is a GGUF too."""
    header = GgufHeader(Path("mmproj.gguf"), {"general.architecture": "clip"}, 10**6)
    with pytest.raises(EngineError, match="holds no language model"):
        check_fit(header, Load("x"), None)
