r"""A conversation as patterns: what the ``scripted`` engine answers, and which tools it calls.

A script is a TOML file. Nothing of its subject is in Python, and nothing is remembered here: every
answer is worked out again from the messages of the context, so that provisional contexts are safe.

The user's words are first lowered and freed of punctuation, apostrophes ("oclock", "dont") and
``fillers``. Then each slot that is mentioned is read, and the first intent that fits decides:

``[macros]``
    Names for pieces of regex; write ``<name>`` for the piece as a group that does not capture.
``[slots.NAME]``
    Something the user may mention. Slots are read in the order of the file, and what one slot has
    read no later one sees. ``match``: regexes, the first that is found wins; its first group (or
    all of it) is the value. ``bare``: more regexes for when this slot has just been asked for.
    ``values``: value = regex, instead of ``match``. ``fix``: replacements for words often
    misheard. ``ask``: how to ask for it.
``[[intents]]``
    ``name``; ``match``: regexes, any of them; ``unless``: regexes, none of them; ``after``: only
    right after one of these tools answered; ``idle``: only while there is no other matter that
    ``needs`` something. Then ``answers``, or a ``tool``: ``needs`` are slots asked for until they
    are known (``ask``: by the names still missing, in order, joined by spaces), ``needs_one_of``
    wants at least one of them, ``uses`` are passed where known, ``arguments`` renames slots.
    ``forget`` drops what was said before. ``remember`` keeps the slots of this sentence for later
    ones (default: where there are ``needs``).
``[tools.NAME]``
    What to say about a tool's result: ``answers``, and ``errors`` where it has an ``error``;
    ``forget``: a success ends the matter. If an error names a ``field``, that slot is asked again.
``[facts.NAME]``
    A table; ``{NAME of SLOT}`` is its value for what the slot holds.
``fallback``
    Answers where nothing fits. ``fillers``: words to ignore.

In answers, ``{x}`` is a slot, a field of the tool's result, or ``{last_answer}``. Of several
answers those with the most fields that are all known are taken in turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

__all__ = ["Call", "Say", "Script"]

FAILED = "I am sorry, that did not work."
FIELD = re.compile(r"\{(\w+)(?: of (\w+))?\}")


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with these words."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call this tool."""

    tool: str
    arguments: dict[str, str]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slot(_Table):
    """Something the user may mention."""

    match: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    values: dict[str, str] = Field(default_factory=dict)
    fix: dict[str, str] = Field(default_factory=dict)
    ask: str = ""


class Intent(_Table):
    """Something the user may want."""

    name: str
    match: tuple[str, ...]
    unless: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    idle: bool = False
    answers: tuple[str, ...] = ()
    tool: str = ""
    needs: tuple[str, ...] = ()
    needs_one_of: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    arguments: dict[str, str] = Field(default_factory=dict)
    ask: dict[str, str] = Field(default_factory=dict)
    forget: bool = False
    remember: bool | None = None

    @property
    def asks(self) -> bool:
        """Whether it is a matter of several turns."""
        return bool(self.needs or self.needs_one_of)


class ToolAnswers(_Table):
    """What to say about a tool's result."""

    answers: tuple[str, ...] = ("{say}", "Done.")
    errors: tuple[str, ...] = ("{error}",)
    forget: bool = False


@dataclass(slots=True)
class _Memory:
    """What the messages so far amount to."""

    slots: dict[str, str] = field(default_factory=dict)
    form: Intent | None = None
    wanted: list[str] = field(default_factory=list)
    """Slots asked for and not yet given."""
    last_tool: str = ""
    """The tool that answered last, until the user speaks again."""
    last_answer: str = ""
    answers: int = 0

    def forget(self) -> None:
        self.slots.clear()
        self.form = None
        self.wanted = []


class Script(_Table):
    """The whole file; see the module's docstring."""

    macros: dict[str, str] = Field(default_factory=dict)
    fillers: tuple[str, ...] = ()
    slots: dict[str, Slot] = Field(default_factory=dict)
    intents: tuple[Intent, ...] = ()
    tools: dict[str, ToolAnswers] = Field(default_factory=dict)
    facts: dict[str, dict[str, str]] = Field(default_factory=dict)
    fallback: tuple[str, ...] = ("Sorry, I did not understand that. Could you say it again?",)

    @field_validator("fallback")
    @classmethod
    def _something_to_say(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one answer is needed")
        return value

    _patterns: dict[str, re.Pattern[str]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Script:
        """Compile every pattern and check every name, so that mistakes show at the start."""
        for intent in self.intents:
            for name in (*intent.needs, *intent.needs_one_of, *intent.uses):
                if name not in self.slots:
                    raise ValueError(f"intent {intent.name!r} names slot {name!r}; there is none")
            if not intent.tool and not intent.answers:
                raise ValueError(f"intent {intent.name!r} has neither answers nor a tool")
            for pattern in (*intent.match, *intent.unless):
                self._compiled(pattern)
        for slot in self.slots.values():
            for pattern in (*slot.match, *slot.bare, *slot.values.values()):
                self._compiled(pattern)
        return self

    def reply(self, messages: Iterable[Any]) -> Say | Call:
        """Return what follows the last of these OpenAI-style messages."""
        memory = _Memory()
        calls: dict[str, tuple[str, dict[str, Any]]] = {}
        reply: Say | Call = Say(self._pick(self.fallback, memory, {}))
        heard = ""
        for message in messages:
            if not isinstance(message, Mapping):
                continue
            role = message.get("role")
            if role == "user":
                heard = f"{heard} {_text(message)}"
                continue
            if role not in {"assistant", "tool"}:
                continue
            if heard:
                self._hear(memory, heard)
                heard = ""
            for call in message.get("tool_calls") or ():
                function = call["function"]
                calls[call["id"]] = (function["name"], _object(function.get("arguments")))
            if role == "assistant" and (text := _text(message)):
                memory.last_answer = text
                memory.answers += 1
            elif role == "tool":
                name, arguments = calls.get(str(message.get("tool_call_id")), ("", {}))
                reply = self._report(memory, name, arguments, _object(message.get("content")))
        return self._hear(memory, heard) if heard else reply

    def _hear(self, memory: _Memory, text: str) -> Say | Call:
        """Take in one thing the user said; returns the reply it would get now."""
        said = self._normalised(text)
        found, rest = self._read(said, self.slots, {})
        after, memory.last_tool = memory.last_tool, ""
        intent = next((i for i in self.intents if self._fits(i, said, after, memory)), None)
        if memory.form is not None and (intent is None or intent.name == memory.form.name):
            bare, _ = self._read(rest, memory.wanted, found, bare=True)
            found |= bare
            if found:
                intent = memory.form
        if intent is None:
            text = self._pick(self.fallback, memory, {})
            question = self._question(memory.form, memory.wanted) if memory.form else ""
            return Say(f"{text} {question}".strip())
        if intent.forget:
            memory.forget()
        known = memory.slots | found
        if intent.asks if intent.remember is None else intent.remember:
            memory.slots = known
        if not intent.tool:
            return Say(self._pick(intent.answers, memory, known))
        missing = [name for name in intent.needs if name not in known]
        if intent.needs_one_of and not any(name in known for name in intent.needs_one_of):
            missing += intent.needs_one_of
        if intent.asks or not memory.wanted or memory.form is None:
            memory.form, memory.wanted = intent, missing
        if missing:
            return Say(self._question(intent, missing))
        passed = (*intent.needs, *intent.needs_one_of, *intent.uses)
        arguments = {intent.arguments.get(n, n): known[n] for n in passed if n in known}
        return Call(intent.tool, arguments)

    def _report(
        self, memory: _Memory, tool: str, arguments: dict[str, Any], result: dict[str, Any]
    ) -> Say:
        """Take in what a tool returned."""
        memory.last_tool = tool
        answers = self.tools.get(tool, ToolAnswers())
        known = memory.slots | arguments | result
        if "error" not in result:
            if answers.forget:
                memory.forget()
            return Say(self._pick(answers.answers, memory, known))
        slot = result.get("field", "")
        if memory.form is not None:
            slot = {new: old for old, new in memory.form.arguments.items()}.get(slot, slot)
        if slot in self.slots:
            memory.slots.pop(slot, None)
            memory.wanted = [slot]
        return Say(self._pick(answers.errors, memory, known))

    def _fits(self, intent: Intent, said: str, after: str, memory: _Memory) -> bool:
        if intent.after and after not in intent.after:
            return False
        if intent.idle and memory.form is not None and memory.form.asks:
            return False
        if any(self._compiled(pattern).search(said) for pattern in intent.unless):
            return False
        return any(self._compiled(pattern).search(said) for pattern in intent.match)

    def _read(
        self, said: str, names: Iterable[str], known: Mapping[str, str], bare: bool = False
    ) -> tuple[dict[str, str], str]:
        """Read slots from ``said``; returns them and the words that are left."""
        found: dict[str, str] = {}
        for name in names:
            slot = self.slots[name]
            choices: list[tuple[str | None, str]]
            choices = [(None, pattern) for pattern in (slot.bare if bare else slot.match)]
            choices += [] if bare else [(value, p) for value, p in slot.values.items()]
            for value, pattern in choices:
                match = None if name in known else self._compiled(pattern).search(said)
                if match is not None:
                    read = next((group for group in match.groups() if group), match[0])
                    words = (slot.fix.get(word, word) for word in read.split())
                    found[name] = value or " ".join(words)
                    said = f"{said[: match.start()]} | {said[match.end() :]}"
                    break
        return found, said

    def _question(self, form: Intent | None, missing: Sequence[str]) -> str:
        if form is None or not missing:
            return ""
        return form.ask.get(" ".join(missing)) or self.slots[missing[0]].ask

    def _pick(self, answers: Sequence[str], memory: _Memory, known: Mapping[str, Any]) -> str:
        """Of the answers whose fields are all known, those with the most fields, in turn."""
        facts = {"last_answer": memory.last_answer} if memory.last_answer else {}
        known = {**facts, **known}
        filled: dict[int, list[str]] = {}
        for answer in answers:
            used = list(FIELD.finditer(answer))
            if all(self._value(field, known) is not None for field in used):
                text = FIELD.sub(lambda field: str(self._value(field, known)), answer)
                filled.setdefault(len(used), []).append(text)
        best = filled[max(filled)] if filled else list(self.fallback)
        return best[memory.answers % len(best)]

    def _value(self, used: re.Match[str], known: Mapping[str, Any]) -> Any:
        if used[2] is None:
            return known.get(used[1])
        return self.facts.get(used[1], {}).get(str(known.get(used[2], "")))

    def _normalised(self, text: str) -> str:
        text = re.sub(r"(?<=[a-z])[-–](?=[a-z])", " ", re.sub("['’]", "", text.lower()))
        text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text)
        text = re.sub(r"(?<!\d)[.:]|[.:](?!\d)|[^\w\s.:\-]", " ", text)
        for filler in self.fillers:
            text = re.sub(rf"\b{filler}\b", " ", text)
        return " ".join(text.split())

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        def piece(used: re.Match[str]) -> str:
            return f"(?:{expanded(self.macros[used[1]])})" if used[1] in self.macros else used[0]

        def expanded(text: str) -> str:
            return re.sub(r"(?<!\(\?)(?<!\(\?P)<(\w+)>", piece, text)

        if pattern not in self._patterns:
            try:
                self._patterns[pattern] = re.compile(expanded(pattern))
            except (re.error, RecursionError) as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return self._patterns[pattern]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    parts = (part.get("text", "") for part in content if isinstance(part, Mapping))
    return " ".join(part for part in parts if part)


def _object(content: Any) -> dict[str, Any]:
    """A JSON object; anything else is how Pipecat says that a tool did not come to its end."""
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except ValueError:
            return {"error": FAILED}
    return content if isinstance(content, dict) else {"error": FAILED}
