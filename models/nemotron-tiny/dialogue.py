"""A dialogue as the model reads it: rendered by the chat template, as tokens, each with its loss.

What the network is asked to learn: all an assistant's turn says, tool calls and its end included;
with less weight the users' words, and with some weight where a user's turn ends, which makes the
chance of ``<|im_end|>`` after the words so far evidence for the end of a turn. Never the system
prompt or a tool's result. A message with ``"train": false`` is only read; a user message with
``"eot": false`` was cut, so that its end is no end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment
from tokenizers import Tokenizer

from voice_agent.agents.agent import load_agent
from voice_agent.paths import pipelines_dir

FOLDER = Path(__file__).parent
Message = dict[str, Any]

WORDS = 0.2
"""Weight of a user's words in the loss, next to an assistant's 1."""
END_OF_TURN = 0.5
"""Weight of a user's ``<|im_end|>``."""


def default_tools() -> list[dict[str, Any]]:
    """Return the tools of the default agent as an OpenAI request lists them."""
    agent = load_agent(pipelines_dir() / "agents" / "bella-notte.toml")
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in agent.tool_set(lambda: datetime(2026, 1, 1)).tools()
    ]


class ChatTemplate:
    """Renders messages as llama.cpp does with the template in the GGUF."""

    def __init__(self, tools: list[dict[str, Any]] | None = None) -> None:
        environment = Environment(trim_blocks=True, lstrip_blocks=True)
        text = (FOLDER / "chat_template.jinja").read_text(encoding="utf-8")
        self._template = environment.from_string(text)
        self.tools = default_tools() if tools is None else tools

    def render(self, messages: Sequence[Message], *, answer: bool = False) -> str:
        """Return the text; ``answer`` opens the assistant's next turn."""
        return self._template.render(
            messages=messages, tools=self.tools, add_generation_prompt=answer
        )


class Encoder:
    """Turns dialogues into token ids and the weight of each as something to predict."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._tokenizer = tokenizer
        self._template = template
        ids = {name: tokenizer.token_to_id(name) for name in tokenizer.get_vocab()}
        self._start, self._end = ids["<|im_start|>"], ids["<|im_end|>"]
        self._thought, self._result = ids["</think>"], ids["<tool_response>"]
        self._roles = {ids["assistant"]: "assistant", ids["user"]: "user", ids["system"]: "system"}

    def __call__(self, messages: Sequence[Message]) -> tuple[list[int], list[float]]:
        """Return ids and weights; the weight of token i is that of predicting it.

        Raises:
            ValueError: The turns of the text are not those of the messages.
        """
        text = self._template.render(messages)
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        weights = [0.0] * len(ids)
        said = iter([m for m in messages if m["role"] in {"assistant", "user"}])
        starts = [at for at, token in enumerate(ids) if token == self._start]
        for at, until in zip(starts, [*starts[1:], len(ids)], strict=True):
            role = self._roles[ids[at + 1]]
            end = ids.index(self._end, at, until)
            if role == "system" or ids[at + 3] == self._result:
                continue
            message = next(said, None)
            if message is None or message["role"] != role:
                raise ValueError(f"turn {role!r} of the text is not in the messages: {text!r}")
            if not message.get("train", True):
                continue
            if role == "assistant":
                first = ids.index(self._thought, at, end) + 1
                weights[first : end + 1] = [1.0] * (end + 1 - first)
            else:
                weights[at + 3 : end] = [WORDS] * (end - at - 3)
                weights[end] = END_OF_TURN if message.get("eot", True) else 0.0
        return ids, weights
