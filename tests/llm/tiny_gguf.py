"""Makes real GGUF files of the architecture we ship, small enough to be made for every test.

``random_model`` has random weights: what it writes is noise, but the same noise every time.
``speaking_model`` has weights made by hand: each token's row in the output points at the token
that shall follow it, and the layers hardly add anything, so that it writes a known sentence. Both
have Nemotron-3's layout (Mamba-2, attention, mixture of experts, one multi-token-prediction
block), its chat format, and a tokenizer of single bytes and the words that are spoken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WIDTH = 64
LAYERS = "ME*E"
"""M: Mamba-2, E: mixture of experts, *: attention."""
SPECIAL = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>", "</think>")
END = "<|im_end|>"
CONTEXT = 4096

CHAT_TEMPLATE = """\
{%- macro arguments_of(call) -%}
{%- for name, value in call.arguments | items %}<parameter={{ name }}>
{{ value if value is string else value | tojson }}
</parameter>
{% endfor -%}
{%- endmacro -%}
{%- if tools %}<|im_start|>tools
{% for tool in tools %}{{ tool.function.name }}
{% endfor %}{{ END }}
{% endif -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content %}{{ message.content }}{% endif -%}
{%- for call in message.tool_calls or [] -%}
<tool_call>
<function={{ call.function.name }}>
{{ arguments_of(call.function) }}</function>
</tool_call>
{% endfor -%}
{{ END }}
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
""".replace("{{ END }}", END)


def random_model(path: Path, *, mtp: bool = True, **metadata: Any) -> Path:
    """Write a model with random weights; with ``mtp`` it can draft tokens."""
    return _Model(0, [], mtp, scale=1.0).write(path, metadata)


def speaking_model(
    path: Path, text: str | Sequence[str], *, forever: bool = False, mtp: bool = True
) -> Path:
    """Write a model that answers everything with ``text``, or with ``text`` again and again.

    No word may come twice in it: what follows a token depends on that token alone. Given as a
    sequence, each part is one token.
    """
    # Where GPT-2's tokenizer cuts, so that an answer in the history has the tokens it was made of.
    words = re.findall(r" ?[A-Za-z]+| ?[^\sA-Za-z]+", text) if isinstance(text, str) else text
    assert len(set(words)) == len(words), f"a word comes twice in {words}"
    return _Model(0, words, mtp, scale=0.01, forever=forever).write(path, {})


class _Model:
    def __init__(
        self, seed: int, words: Sequence[str], mtp: bool, scale: float, forever: bool = False
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._mtp = mtp
        self._scale = scale
        self.tokens = [*map(_byte, range(256)), *SPECIAL]
        spelled = [_spell(word) for word in words or [" the"]]
        self.tokens += [word for word in dict.fromkeys(spelled) if word not in self.tokens]
        self._merges = list(dict.fromkeys(m for word in spelled for m in _merges(word)))
        parts = [first + second for first, second in self._merges]
        self.tokens += [part for part in dict.fromkeys(parts) if part not in self.tokens]
        self.embeddings = self._normal(len(self.tokens), WIDTH)
        if words:
            self.head = np.zeros_like(self.embeddings)
            chain = [_spell("\n"), *spelled, spelled[0] if forever else END]
            for now, after in pairwise(chain):
                self.head[self.tokens.index(after)] += self.embeddings[self.tokens.index(now)]
        else:
            # Letters, digits and signs only: half a character would hide a difference.
            plain = [len(token) == 1 and "!" <= token <= "~" for token in self.tokens]
            self.head = self._normal(len(self.tokens), WIDTH) * np.array(plain)[:, None]
            self.head = self.head.astype(np.float32)

    def write(self, path: Path, metadata: dict[str, Any]) -> Path:
        writer = gguf.GGUFWriter(path, "nemotron_h_moe")
        self._describe(writer, metadata)
        self._tokenizer(writer)
        for name, values in self._tensors().items():
            writer.add_tensor(name, np.ascontiguousarray(values, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _describe(self, writer: gguf.GGUFWriter, metadata: dict[str, Any]) -> None:
        blocks = LAYERS + ("*" if self._mtp else "")
        values: dict[str, Any] = {
            "block_count": len(blocks),
            "context_length": CONTEXT,
            "embedding_length": WIDTH,
            "attention.head_count": 4,
            "attention.head_count_kv": [2 if kind == "*" else 0 for kind in blocks],
            "attention.key_length": 16,
            "attention.value_length": 16,
            "attention.layer_norm_epsilon": 1e-5,
            "attention.layer_norm_rms_epsilon": 1e-5,
            "feed_forward_length": [
                64 if kind == "E" or n == len(LAYERS) else 0 for n, kind in enumerate(blocks)
            ],
            "ssm.conv_kernel": 4,
            "ssm.inner_size": 64,
            "ssm.state_size": 16,
            "ssm.time_step_rank": 4,
            "ssm.group_count": 1,
            "expert_count": 4,
            "expert_used_count": 2,
            "expert_feed_forward_length": 64,
            "expert_shared_feed_forward_length": 64,
            "expert_weights_norm": True,
            "expert_weights_scale": 1.0,
            **({"nextn_predict_layers": 1} if self._mtp else {}),
            **metadata,
        }
        for key, value in values.items():
            key = f"nemotron_h_moe.{key}"
            if isinstance(value, bool):
                writer.add_bool(key, value)
            elif isinstance(value, float):
                writer.add_float32(key, value)
            elif isinstance(value, int):
                writer.add_uint32(key, value)
            elif value is not None:
                writer.add_array(key, value)

    def _tokenizer(self, writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(self.tokens)
        writer.add_token_types([3 if token in SPECIAL[:2] else 1 for token in self.tokens])
        writer.add_token_merges([f"{first} {second}" for first, second in self._merges])
        writer.add_eos_token_id(self.tokens.index(END))
        writer.add_bos_token_id(self.tokens.index("<|im_start|>"))
        writer.add_add_bos_token(False)
        writer.add_chat_template(CHAT_TEMPLATE)

    def _tensors(self) -> dict[str, Floats]:
        tensors = {
            "token_embd.weight": self.embeddings,
            "output_norm.weight": np.ones(WIDTH, np.float32),
            "output.weight": self.head,
        }
        blocks = LAYERS + ("+" if self._mtp else "")
        for number, kind in enumerate(blocks):
            made: dict[str, Floats] = {"attn_norm.weight": np.ones(WIDTH, np.float32)}
            if kind == "M":
                made |= self._mamba()
            if kind in "*+":
                made |= self._attention()
            if kind in "E+":
                made |= self._experts()
            if kind == "+":
                made |= self._multi_token()
            tensors |= {f"blk.{number}.{name}": values for name, values in made.items()}
        return tensors

    def _mamba(self) -> dict[str, Floats]:
        inner, state, heads = 64, 16, 4
        channels = inner + 2 * state
        return {
            "ssm_in.weight": self._weight(inner + channels + heads, WIDTH),
            "ssm_conv1d.weight": self._normal(channels, 4) * np.float32(0.5),
            "ssm_conv1d.bias": np.zeros(channels, np.float32),
            "ssm_dt.bias": self._normal(heads),
            "ssm_a": -np.exp(self._normal(heads, 1)),
            "ssm_d": np.ones((heads, 1), np.float32),
            "ssm_norm.weight": np.ones((1, inner), np.float32),
            "ssm_out.weight": self._weight(WIDTH, inner),
        }

    def _attention(self) -> dict[str, Floats]:
        return {
            "attn_q.weight": self._weight(64, WIDTH),
            "attn_k.weight": self._weight(32, WIDTH),
            "attn_v.weight": self._weight(32, WIDTH),
            "attn_output.weight": self._weight(WIDTH, 64),
        }

    def _experts(self) -> dict[str, Floats]:
        return {
            "ffn_gate_inp.weight": self._weight(4, WIDTH),
            "exp_probs_b.bias": np.zeros(4, np.float32),
            "ffn_up_exps.weight": self._weight(4, 64, WIDTH),
            "ffn_down_exps.weight": self._weight(4, WIDTH, 64),
            "ffn_up_shexp.weight": self._weight(64, WIDTH),
            "ffn_down_shexp.weight": self._weight(WIDTH, 64),
        }

    def _multi_token(self) -> dict[str, Floats]:
        """The drafting block: it guesses from the next token's embedding alone."""
        mix = np.concatenate([np.eye(WIDTH), 0.01 * np.eye(WIDTH)], axis=1).astype(np.float32)
        ones = np.ones(WIDTH, np.float32)
        return {
            "nextn.eh_proj.weight": mix,
            "nextn.enorm.weight": ones,
            "nextn.hnorm.weight": ones,
            "nextn.shared_head_norm.weight": ones,
            "post_attention_norm.weight": ones,
        }

    def _weight(self, *shape: int) -> Floats:
        return self._normal(*shape) * np.float32(self._scale / np.sqrt(shape[-1]))

    def _normal(self, *shape: int) -> Floats:
        return self._random.standard_normal(shape, np.float32)


def _byte(value: int) -> str:
    """Return how GPT-2's tokenizer writes a byte: printable ones as they are."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [other for other in range(256) if other not in printable]
    return chr(value) if value in printable else chr(256 + others.index(value))


def _spell(text: str) -> str:
    return text if text in SPECIAL else "".join(_byte(value) for value in text.encode())


def _merges(token: str) -> list[tuple[str, str]]:
    """Return the pairs that join a token's bytes, from the left."""
    if token in SPECIAL:
        return []
    return [(token[:end], token[end]) for end in range(1, len(token))]
