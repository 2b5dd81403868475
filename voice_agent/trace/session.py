"""What one conversation's trace goes through: its turns, its recording, when it began and ended."""

from __future__ import annotations

import time
from dataclasses import replace

from voice_agent.media import Transport, now_ms
from voice_agent.trace.assembly import Origin
from voice_agent.trace.model import Session, Turn
from voice_agent.trace.recording import RecordedTransport, Recorder
from voice_agent.trace.tracing import Tracing

__all__ = ["TracedSession"]


class TracedSession:
    """See the module's docstring.

    Args:
        tracing: Where everything goes; None: nowhere.
        transport: The caller's connection.
        conversation_id: The session's name.
        pipeline: The pipeline's.
    """

    def __init__(
        self, tracing: Tracing | None, transport: Transport, conversation_id: str, pipeline: str
    ) -> None:
        epoch_s = time.time() - now_ms() / 1000.0
        self.transport = transport
        """The connection, recorded where recordings are switched on."""
        self._recorder: Recorder | None = None
        if tracing is not None and tracing.settings.records:
            self._recorder = Recorder(transport.audio_out_hz, epoch_s)
            self.transport = RecordedTransport(transport, self._recorder)
        self._tracing = tracing
        self.origin = Origin(
            conversation_id,
            tracing.run.id if tracing is not None else "",
            pipeline,
            transport.name,
            dict(transport.ids) or None,
            epoch_s=epoch_s,
            transcripts=tracing is not None and tracing.settings.transcripts,
        )
        self._session: Session | None = None

    def began(self) -> None:
        """The conversation begins now."""
        self._note(self.origin.session_at(round(time.time(), 3)))

    def ended(self, reason: str) -> None:
        """The conversation is over; ``began`` came before."""
        if self._session is not None:
            self._note(replace(self._session, ended_at=round(time.time(), 3), reason=reason))

    def turn(self, turn: Turn) -> None:
        """Hand on a turn, and what was recorded of it when it is over."""
        if self._tracing is None:
            return
        recorder = self._recorder if turn.ended_ms is not None else None
        self._tracing.turn(replace(turn, audio=recorder is not None))
        if recorder is not None:
            self._tracing.recording(turn, recorder.cut(turn))

    def measured(self, since_ms: float) -> dict[str, float]:
        """Return the figures of the process and of the line since ``since_ms``."""
        process = self._tracing.measured(since_ms) if self._tracing is not None else {}
        return {**process, **self.transport.figures()}

    def _note(self, session: Session) -> None:
        self._session = session
        if self._tracing is not None:
            self._tracing.session(session)
