"""What the agent can do with the call it is in: hang up, hand it over, press keys.

Over the media socket where its protocol has that, else through the carrier's REST API; keys are
sent as sound where neither has them. The language model chooses among names that the pipeline
gives, never among numbers. What ends the call waits for the agent's last words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loguru import logger
from pydantic import BaseModel, Field

from voice_agent.agents.tools import Tool, tool
from voice_agent.parting import After
from voice_agent.transports.telephony.carrier import Carrier, TelephonyError
from voice_agent.transports.telephony.settings import CallToolsSettings
from voice_agent.transports.telephony.transport import TelephoneLine


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """A call that is connected."""

    carrier: Carrier
    call_id: str
    line: TelephoneLine
    transfer_url: Callable[[str], str]
    """Returns a webhook, good for once, that hands the call over to this number."""

    async def hang_up(self) -> None:
        """End the call, also where the carrier cannot be asked: the line is closed then."""
        try:
            await self.carrier.hang_up(self.call_id)
        except TelephonyError as error:
            logger.warning(f"{self.carrier.name}: a call could not be hung up: {error}")

    async def transfer(self, to: str) -> None:
        """Hand the call over; raises TelephonyError."""
        if not self.line.hand_over(to):
            await self.carrier.transfer(self.call_id, to, self.transfer_url(to))

    async def press(self, keys: str) -> None:
        """Press keys; raises TelephonyError."""
        if not self.line.press(keys) and not await self.carrier.send_keys(self.call_id, keys):
            await self.line.sound(keys)


class _Nothing(BaseModel):
    pass


class _Whom(BaseModel):
    to: str


class _Keys(BaseModel):
    keys: str = Field(pattern=r"^[0-9*#]{1,32}$", description="the keys, as in 1 or 4711#")


def call_tools(call: PhoneCall, settings: CallToolsSettings, after: After) -> list[Tool]:
    """Return what ``settings`` let the agent do with ``call``.

    ``after`` does something when the answer under way has been heard, and ends the conversation.
    """

    async def hang_up(_: _Nothing) -> dict[str, Any]:
        after(call.hang_up)
        return {"result": "The call ends when you have said goodbye."}

    async def transfer(whom: _Whom) -> dict[str, Any]:
        number = numbers.get(whom.to.strip().lower())
        if number is None:
            return {"error": f"I can put you through to {names} only.", "field": "to"}
        after(lambda: call.transfer(number))
        return {"result": "The caller is put through when you have said so."}

    async def press_keys(pressed: _Keys) -> dict[str, Any]:
        try:
            await call.press(pressed.keys)
        except TelephonyError as error:
            logger.warning(f"{call.carrier.name}: keys could not be sent: {error}")
            return {"error": "The keys could not be pressed.", "field": "keys"}
        return {"result": "pressed"}

    numbers = {name.strip().lower(): to for name, to in settings.transfer_to.items()}
    names = ", ".join(settings.transfer_to)
    made: list[Tool] = []
    if settings.hang_up:
        what = "End the call. Say goodbye in the same answer."
        made.append(tool("hang_up", what, _Nothing, hang_up))
    if numbers:
        what = f"Put the caller through. Say so in the same answer. ``to`` is one of: {names}."
        made.append(tool("transfer_call", what, _Whom, transfer))
    if settings.press_keys:
        made.append(tool("press_keys", "Press keys of the telephone.", _Keys, press_keys))
    return made
