"""Turns put together, sans-I/O. In: time-stamped events of a conversation, what was decided on
them, and what the services did for its answers; out: turns as plain data. No clock, no task, no
Pipecat."""

from voice_agent.trace.assembly.assembling import Assembly
from voice_agent.trace.assembly.making import Origin

__all__ = ["Assembly", "Origin"]
