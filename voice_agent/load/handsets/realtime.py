"""A client of OpenAI's Realtime API over WebSocket, as a line that callers speak on.

https://platform.openai.com/docs/guides/realtime-conversations: 24 kHz samples as base64 in JSON,
no answer to anything that is played. What the API tells of turns is noted as our own server tells
it elsewhere. A client stops playing when it is told that somebody speaks.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from voice_agent.load.handsets.handset import Clear, Handset, Play, Said, Told
from voice_agent.transports.telephony.wire import Encoding


class RealtimeHandset(Handset):
    """One connection; ``secret`` is the key, or a client secret."""

    encoding: Encoding = Encoding.L16
    hz = 24_000
    subprotocols = ("realtime",)

    def __init__(self, secret: str = "", caller: str = "") -> None:
        super().__init__(secret, caller)
        self._said: dict[str, str] = {}
        """What each response has said so far, by its id."""

    def media_url(self, url: str, answer: str) -> str:
        """Return the address of the API's socket."""
        return url.replace("http", "ws", 1) + "/v1/realtime?model=gpt-realtime"

    def media_headers(self, media_url: str) -> Mapping[str, str]:
        """Return the key."""
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}

    def opening(self) -> Sequence[str]:
        """Return nothing: the session is what it is."""
        return ()

    def media(self, payload: bytes, number: int, at_ms: float) -> str:
        """Return ``input_audio_buffer.append``."""
        audio = base64.b64encode(payload).decode()
        return json.dumps({"type": "input_audio_buffer.append", "audio": audio})

    def key(self, key: str) -> Sequence[str]:
        """Return nothing: the API has no keys."""
        return ()

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what an event means; an error of the API's is one of the line."""
        event = json.loads(message)
        match event["type"]:
            case "response.output_audio.delta":
                return (Play(base64.b64decode(event["delta"], validate=True)),)
            case "input_audio_buffer.speech_started":
                return (Clear(),)
            case "session.created":
                return (_told("bot-ready", {}),)
            case "response.output_audio_transcript.delta":
                so_far = self._said.get(event["response_id"], "")
                self._said[event["response_id"]] = so_far + event["delta"]
            case "conversation.item.input_audio_transcription.completed":
                return (_turn("user-turn", event["item_id"], event["transcript"]),)
            case "response.done":
                response = event["response"]["id"]
                if said := self._said.pop(response, ""):
                    return (_turn("agent-turn", response, said),)
            case "error":
                raise ValueError(str(event["error"].get("message")))
        return ()


def _turn(kind: str, turn: str, text: str) -> Told:
    return _told("server-message", {"type": kind, "turn": turn, "text": text})


def _told(kind: str, data: Mapping[str, Any]) -> Told:
    return Told(json.dumps({"label": "rtvi-ai", "type": kind, "data": dict(data)}))
