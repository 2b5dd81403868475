"""What the host does, told what the caller means: the answers the model is to learn.

The same few sentences for the same situation, tools for everything that could be wrong, and the
tools' own sentences repeated. ``Host`` keeps the messages as the conversation's ledger does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wording import Said
from world import World, dumped

Message = dict[str, Any]
SLOTS = ("size", "date", "time")
ASK = {
    ("size", "date", "time"): "With pleasure. For how many people, and when?",
    ("date", "time"): "When would you like to come?",
    ("size", "date"): "For how many people, and on which day?",
    ("size", "time"): "For how many people, and at what time?",
    ("size",): "For how many people?",
    ("date",): "For which day?",
    ("time",): "At what time?",
}
ASK_CHANGE = "Of course. What would you like to change: the day, the time, or the number of people?"
ASK_NEW = {"date": "To which day?", "time": "To what time?", "size": "To how many people?"}
AGAIN = {
    "date": "Which other day would suit you?",
    "time": "What other time would suit you?",
    "party_size": "Would a smaller party be possible?",
}
MORE = "Is there anything else I can do for you?"
WHAT = "What can I do for you?"
NOT_HEARD = "Sorry, I did not catch that."
NOT_HEARD_AGAIN = "Sorry, I did not catch that. Could you say it again?"
ELSEWHERE = (
    "I am sorry, I cannot help you with that. I can book you a table or tell you about the house."
)
SIMPLE = {
    "hello": "Good evening, how can I help you?",
    "how_are_you": "Very well, thank you. How can I help you?",
    "thanks": f"You are welcome. {MORE}",
    "bye": "Thank you for calling. Goodbye!",
    "done": "Thank you for calling. Goodbye!",
    "hold": "Of course, take your time.",
    "robot": "I am the automatic host of {name}. " + WHAT,
    "who": "This is {name}. How can I help you?",
    "human": "I am sorry, there is only me, the automatic host. "
    "I can book you a table or tell you about the house.",
    "help": "I can book, change or cancel a table, and tell you about our hours and our menu.",
    "lookup": "I am sorry, I cannot look that up, but I can change or cancel your booking.",
    "elsewhere": ELSEWHERE,
    "phone": "Thank you, I do not need your number.",
}
"""Answers that need nothing but the act; a question that is open is asked again after them."""
ORDER = "You can order when you are here. Shall I book you a table?"
LATE = "Thank you for telling us. Shall I move your booking to a later time?"
NAMES = {"size": "party_size"}


@dataclass(slots=True)
class Matter:
    """What is being arranged, with what is known of it."""

    kind: str
    """"book", "check", "change" or "cancel"."""
    known: dict[str, Any] = field(default_factory=dict)


class Host:
    """One call, from the host's side."""

    def __init__(self, world: World, *, greets: bool = True) -> None:
        self.world = world
        self.messages: list[Message] = [{"role": "system", "content": world.system}]
        self.matter: Matter | None = None
        self.offered: dict[str, Any] | None = None
        """A free table that the caller may still take."""
        self.booked = False
        self.said = ""
        self.open = ""
        """The question that is open, to be asked again after something else."""
        self.wants_yes = ""
        """What a bare "yes" would mean now."""
        self.asked: tuple[str, ...] = ()
        """The slots asked for last."""
        self.result: Mapping[str, Any] = {}
        self.last_number = ""
        """Which of "size" and "time" the caller gave last."""
        self._calls = 0
        if greets:
            self.say(world.agent.greeting)
            self.messages[-1]["train"] = False

    def say(self, text: str) -> None:
        self.messages.append({"role": "assistant", "content": text})
        self.said = text

    async def hear(self, said: Said, text: str = "") -> None:
        """Answer; ``text`` is what the recogniser made of what was said."""
        self.messages.append({"role": "user", "content": text or said.text})
        wants, self.wants_yes = self.wants_yes, ""
        known = {slot: v for slot, v in said.values.items() if slot in (*SLOTS, "name")}
        self.last_number = next((s for s in ("time", "size") if s in known), self.last_number)
        match said.act:
            case "book" | "check":
                kept = self.matter.known if self.matter and self.matter.kind != "cancel" else {}
                kept = kept if not self.matter or self.matter.kind in {"book", "check"} else {}
                await self._arrange(Matter(said.act, {**kept, **known}))
            case "inform" | "name" | "correct" | "pick":
                await self._told(said.act, known)
            case "change":
                await self._arrange(Matter("change", known))
            case "cancel":
                await self._arrange(Matter("cancel", known))
            case "which":
                self._ask((said.values["which"],), ASK_NEW[said.values["which"]])
            case "yes":
                await self._agreed(wants)
            case "no":
                await self._declined(wants)
            case "hours":
                await self._tell("opening_hours", {"date": known["date"]} if known else {})
            case "menu" | "menu_dish" | "menu_course" | "menu_vegetarian" | "menu_prices":
                about = said.values.get("about", "")
                await self._tell("menu", {"about": about} if about else {})
            case "house":
                await self._tell("house", {"about": said.values["about"]})
            case "repeat":
                self.wants_yes = wants
                self.say(self.said or WHAT)
            case "garbled":
                self.wants_yes = wants
                self._aside(NOT_HEARD if self.open else NOT_HEARD_AGAIN)
            case "backchannel":
                self.wants_yes = wants
                self.say(self.open or MORE)
                self.wants_yes = self.wants_yes or ("" if self.open else "more")
            case "today":
                self._aside(f"Today is {self.world.system.partition('Today is ')[2]}")
            case "order":
                self.matter, self.open = None, ""
                self.say(ORDER)
                self.wants_yes = "book"
            case "late":
                self.matter, self.open = None, ""
                self.say(LATE)
                self.wants_yes = "later"
            case act:
                answer = SIMPLE[act].replace("{name}", self.world.agent.name)
                if act in {"bye", "done", "hold"}:
                    self.say(answer)
                elif act in {"thanks"}:
                    self.matter, self.open, self.offered = None, "", None
                    self.say(answer)
                    self.wants_yes = "more"
                elif act in {"hello", "how_are_you", "who", "robot"} and self.open:
                    self._aside(answer.rpartition(". ")[0] + "." if ". " in answer else "Hello.")
                else:
                    self._aside(answer)

    def _aside(self, answer: str) -> None:
        self.say(f"{answer} {self.open}".strip())

    def _ask(self, slots: tuple[str, ...], question: str) -> None:
        self.asked, self.open = slots, question
        self.say(question)

    async def _told(self, act: str, known: dict[str, Any]) -> None:
        """Slots without a wish: they belong to what is open, or to the booking just made."""
        if self.matter is None:
            if self.offered is not None:
                kind = "book" if act == "pick" else "check"
                await self._arrange(Matter(kind, {**self.offered, **known}))
            elif self.booked:
                await self._arrange(Matter("change", known))
            else:
                await self._arrange(Matter("book", known))
            return
        if self.result.get("field") == "date" and self.matter.kind == "change" and "date" in known:
            known = {**known, "of": known["date"]}  # which booking, not where to
            del known["date"]
        self.matter.known |= known
        await self._arrange(self.matter)

    async def _agreed(self, wants: str) -> None:
        match wants:
            case "offer" if self.offered is not None:
                await self._arrange(Matter("book", self.offered))
            case "book":
                await self._arrange(Matter("book"))
            case "later":
                self.matter = Matter("change")
                self._ask(("time",), ASK_NEW["time"])
            case "other day":
                self._ask(("date",), ASK[("date",)])
            case "smaller":
                self._ask(("size",), ASK[("size",)])
            case "more":
                self.say(WHAT)
            case _:
                self.say(self.open or MORE)
                self.wants_yes = "" if self.open else "more"

    async def _declined(self, wants: str) -> None:
        self.matter, self.offered, self.open = None, None, ""
        if wants == "more":
            self.say(SIMPLE["bye"])
        else:
            self.say(f"All right. {MORE}")
            self.wants_yes = "more"

    async def _arrange(self, matter: Matter) -> None:
        """Ask for what is missing, or call the tool and tell what it answered."""
        self.matter, self.offered, known = matter, None, matter.known
        renamed = self.booked and known.keys() == {"name"}
        if matter.kind == "change" and not renamed and not known.keys() & {*SLOTS}:
            self._ask(SLOTS, ASK_CHANGE)
            return
        if matter.kind in {"book", "check"}:
            missing = tuple(slot for slot in SLOTS if slot not in known)
            if missing:
                self._ask(missing, ASK[missing])
                return
        result = await self._call(*_call(matter, self.booked))
        self.open, self.asked = "", ()
        self.result = result
        if "error" in result:
            self._refused(matter, result)
            return
        self.matter = None
        self.say(result["say"])
        if matter.kind == "check":
            if result["available"]:
                self.offered, self.wants_yes = dict(known), "offer"
            else:
                self.matter = Matter("book", dict(known))
                self.wants_yes = "other day" if not result["alternatives"] else ""
        self.booked = matter.kind in {"book", "change"} or (self.booked and matter.kind != "cancel")

    def _refused(self, matter: Matter, result: Mapping[str, Any]) -> None:
        error, at = result["error"], result["field"].removeprefix("new_")
        slot = {"party_size": "size"}.get(at, at)
        full = "alternatives" in result
        if not full and slot in matter.known:
            del matter.known[slot]
        question = "" if error.endswith("?") or full else AGAIN.get(at, "")
        if error.endswith("Would another day suit you?"):
            self.wants_yes = "other day"
        elif at == "party_size":
            self.wants_yes = "smaller"
        self.asked = (slot,)
        self.open = question or (error.split(". ")[-1] if error.endswith("?") else "")
        self.say(f"{error} {question}".strip())

    async def _tell(self, tool: str, arguments: dict[str, Any]) -> None:
        result = await self._call(tool, arguments)
        self.result = result
        self._aside(result.get("say") or result["error"])

    async def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        call_id = f"call_{self._calls}"
        function = {"name": tool, "arguments": arguments}
        call = {"id": call_id, "type": "function", "function": function}
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        result = await self.world.call(tool, arguments)
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": dumped(result)})
        return result


def _call(matter: Matter, booked: bool) -> tuple[str, dict[str, Any]]:
    """Return the tool and its arguments, in the order of its schema."""
    known = matter.known
    if matter.kind in {"book", "check"}:
        arguments = {NAMES.get(slot, slot): known[slot] for slot in SLOTS}
        if matter.kind == "book" and known.get("name"):
            arguments["name"] = known["name"]
        return ("book_table" if matter.kind == "book" else "check_availability"), arguments
    whose = {"name": known["name"]} if known.get("name") else {}
    if matter.kind == "cancel":
        if "date" in known:
            whose["date"] = known["date"]
        return "cancel_booking", whose
    if booked and whose and len(known) == 1:
        return "change_booking", {"new_name": known["name"]}
    if "of" in known:
        whose["date"] = known["of"]
    new = {
        f"new_{NAMES.get(slot, slot)}": known[slot]
        for slot in ("date", "time", "size")
        if slot in known
    }
    return "change_booking", whose | new
