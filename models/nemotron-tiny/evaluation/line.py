"""A line between a simulated caller and the agent: the brain, the real tools, the ledger's form.

Over text what is said is what is heard; over speech a synthetic voice says it and the embedded
recogniser hears it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from brains import Brain, Message

from voice_agent.agents.agent import Agent
from voice_agent.agents.restaurant import RestaurantSettings

Hear = Callable[[str], str]
CLAIM = re.compile(r"\bI have (?:booked|changed|cancelled)\b")
ROUNDS = 4


@dataclass
class Line:
    """One call."""

    brain: Brain
    agent: Agent
    now: datetime
    database: Path
    hear: Hear = lambda said: said
    messages: list[Message] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    invented: int = 0
    """Answers that claim what no tool said in this turn, word for word (repetitions aside)."""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Tools called in the last turn."""

    async def open(self) -> None:
        settings = RestaurantSettings.model_validate(
            {
                **self.agent.tool_settings["restaurant"].model_dump(),
                "database": str(self.database),
            }
        )
        tool_settings = {**self.agent.tool_settings, "restaurant": settings}
        self.agent = self.agent.model_copy(update={"tool_settings": tool_settings})
        self._toolset = self.agent.tool_set(lambda: self.now)
        await self._toolset.start()
        self._tools = {tool.name: tool for tool in self._toolset.tools("call")}
        self.messages = [
            {"role": "system", "content": self.agent.system_prompt(self.now, brief=True)},
            {"role": "assistant", "content": self.agent.greeting},
        ]

    async def earlier(self, row: tuple[int, str, str], name: str) -> None:
        """Book (people, day, time) as it was booked another day."""
        tools = {tool.name: tool for tool in self._toolset.tools("earlier")}
        size, day, at = row
        await tools["book_table"].run({"party_size": size, "date": day, "time": at, "name": name})

    async def say(self, text: str) -> str:
        """Say something; returns the answer."""
        heard = self.hear(text)
        self.log.append(f"U {text}" + (f"  [{heard}]" if heard != text else ""))
        self.messages.append({"role": "user", "content": heard})
        self.calls, confirmed = [], []
        for _ in range(ROUNDS):
            message = await self.brain.reply(self.messages)
            if not message.get("tool_calls"):
                break
            call = message["tool_calls"][0]
            result = await self._run(call["function"])
            confirmed += [str(result.get("say"))] if "error" not in result else []
            self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            content = json.dumps(result, ensure_ascii=False)
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        answer = message.get("content") or ""
        if CLAIM.search(answer) and not any(said in answer for said in confirmed):
            self.invented += not any(answer == message["content"] for message in self.messages)
        self.messages.append({"role": "assistant", "content": answer})
        self.log.append(f"A {answer}")
        return answer

    async def _run(self, function: dict[str, Any]) -> dict[str, Any]:
        name = function["name"]
        try:
            given = json.loads(function["arguments"])
        except ValueError:
            given = {}
        self.calls.append((name, given))
        if name not in self._tools:
            result: dict[str, Any] = {"error": "There is no such tool.", "field": ""}
        else:
            result = await self._tools[name].run(given)
        self.log.append(f"    {name}({given}) -> {result.get('say') or result.get('error')}")
        return result

    async def told(self, tool: str, arguments: dict[str, Any]) -> str:
        """Return what a tool would say."""
        result = await self._tools[tool].run(arguments)
        return str(result.get("say") or result["error"])

    def booked(self) -> list[tuple[int, str, str]]:
        """Return (people, day, time) of every booking that stands."""
        with sqlite3.connect(self.database) as db:
            return db.execute(
                "SELECT party_size, date, time FROM bookings WHERE status = 'booked'"
                " ORDER BY date, time"
            ).fetchall()

    async def close(self) -> None:
        await self._toolset.stop()
