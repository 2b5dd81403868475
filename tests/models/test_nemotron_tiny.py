"""The small Nemotron: its files fit each other, and three engines read the same weights alike."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import Any

import pytest

from voice_agent.paths import models_dir

FOLDER = models_dir() / "nemotron-tiny"
MODEL = FOLDER / "nemotron-tiny.gguf"

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's files import each other as scripts do."""
    if not importlib.util.find_spec("torch"):
        pytest.fail("these tests need the extra `train`")
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def dialogues() -> list[list[dict[str, Any]]]:
    lines = (FOLDER / "evaluation" / "perplexity.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"] for line in lines]


@pytest.fixture
def fresh() -> Any:
    """A network with weights drawn at random, large enough that layers matter."""
    import torch
    from model import Config, NemotronTiny

    torch.manual_seed(7)
    network = NemotronTiny(Config.load(FOLDER / "config.json")).eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim >= 2 and "conv1d" not in name:
                weight *= 3
        for name, bias in network.named_buffers():
            if name.endswith("e_score_correction_bias"):
                bias += torch.randn_like(bias) * 0.05
    return network


def test_transformers_and_llama_cpp_say_the_same_with_the_shipped_weights(dialogues):
    """Greedy tokens of 24 prompts are equal; our torch code's logits are transformers'."""
    from export import read
    from model import Config
    from parity import compare, prompts

    state = read(MODEL, Config.load(FOLDER / "config.json"))
    found = compare(state, prompts(dialogues, 24), length=24)
    assert (found.equal, found.prompts) == (24, 24)
    assert found.logits < 1e-3


def test_transformers_and_llama_cpp_say_the_same_with_weights_never_trained(fresh, dialogues):
    """So that it is the architecture that agrees, not what this model has learned."""
    from parity import compare, prompts

    found = compare(fresh.state_dict(), prompts(dialogues, 20), length=8)
    assert (found.equal, found.prompts) == (20, 20)
    assert found.tokens >= 100
    assert found.logits < 1e-3


def test_drafts_change_no_token(dialogues):
    """120 answers with the MTP block drafting one, two and three tokens are those without it."""
    from perplexity import answer, prompts_of

    given = prompts_of(dialogues, 120)
    plain = answer(MODEL, 0, given, 60)
    assert len(plain.said) == 120
    for drafts in (1, 2, 3):
        drafted = answer(MODEL, drafts, given, 60)
        assert drafted.said == plain.said
        assert drafted.accepted > drafted.drafted / 3


def test_what_comes_later_touches_nothing_before(fresh):
    """The network is causal, its drafts too: dialogues may be padded behind their end."""
    import torch

    ids = torch.randint(3, 2048, (1, 130))
    changed = ids.clone()
    changed[0, 100:] = 5
    with torch.no_grad():
        before, after = fresh.hidden(ids, 2), fresh.hidden(changed, 2)
    for depth, (one, other) in enumerate(zip(before, after, strict=True)):
        assert torch.allclose(one[0, : 100 - depth], other[0, : 100 - depth], atol=1e-5)
        assert not torch.allclose(one[0, 100:], other[0, 100:], atol=1e-3)


def test_a_gguf_read_back_is_what_was_written(fresh, tmp_path):
    """In 32-bit floats to the bit, but for the one tensor that is stored as its exponential."""
    import torch
    from export import read, stacked, unstacked, write_gguf

    write_gguf(fresh.state_dict(), fresh.config, tmp_path / "exact.gguf", exact=True)
    back = read(tmp_path / "exact.gguf", fresh.config)
    for name, tensor in fresh.state_dict().items():
        assert torch.allclose(back[name], tensor, atol=1e-6 if name.endswith("A_log") else 0), name
    again = stacked(unstacked(fresh.state_dict()))
    assert all(torch.equal(again[name], t) for name, t in fresh.state_dict().items())


def test_only_what_is_to_be_learned_has_weight(dialogues):
    """The assistant's turns in full, the caller's words less, prompts and results not at all."""
    from dialogue import END_OF_TURN, WORDS, ChatTemplate, Encoder
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    encode = Encoder(tokenizer, ChatTemplate())
    messages = [
        {"role": "system", "content": "You are the host."},
        {"role": "assistant", "content": "Good evening!", "train": False},
        {"role": "user", "content": "Do you have lasagna?"},
        {"role": "assistant", "content": None, "tool_calls": [_call("menu", about="lasagna")]},
        {"role": "tool", "tool_call_id": "1", "content": '{"dish": "Lasagna", "say": "Yes."}'},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "and what", "eot": False},
    ]
    ids, weights = encode(messages)
    parts: dict[float, str] = {}
    for token, weight in zip(ids, weights, strict=True):
        text = tokenizer.decode([token], skip_special_tokens=False)
        parts[weight] = parts.get(weight, "") + text
    call = "\n<tool_call>\n<function=menu>\n<parameter=about>\nlasagna\n</parameter>\n</function>\n"
    assert parts[1.0] == f"{call}</tool_call>\n<|im_end|>Yes.<|im_end|>"
    assert parts[WORDS] == "do you have lasagnaand what"
    assert parts[END_OF_TURN] == "<|im_end|>"
    assert '{"say": "Yes."}' in parts[0.0]
    assert "Lasagna" not in parts[0.0]  # of a result that says something, the rest is not shown
    for dialogue in dialogues:
        encode(dialogue)  # raises where text and messages do not fit


def test_every_mark_of_a_tool_call_and_every_digit_is_one_token():
    """So that calls are short and numbers are spelt alike wherever they stand."""
    from tokenizer import CONTROL, FRAMES, MARKS
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    for text in (*CONTROL, *MARKS, *FRAMES, *"0123456789"):
        assert len(tokenizer.encode(text).ids) == 1, text
    longer = [t for t in tokenizer.get_vocab() if re.search(r"\d", t) and len(t.lstrip("Ġ")) > 1]
    assert longer == []
    assert (
        tokenizer.get_vocab_size() == json.loads((FOLDER / "config.json").read_text())["vocab_size"]
    )


def _call(name: str, **arguments: str) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
