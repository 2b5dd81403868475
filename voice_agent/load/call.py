"""``voice-agent call``: play files at an agent, one after the other's answer, and write down what
was said on both sides and how long every answer took."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_agent.load.dialling import WEBRTC, dialled
from voice_agent.load.errors import CallError, NoAnswer, WavError
from voice_agent.load.impairment import Network
from voice_agent.load.mouth import Lag
from voice_agent.load.speaking import Speaking, Turn
from voice_agent.load.wav import Speech, read_wav, write_wav

OK, NO_ANSWER, BAD_INPUT = 0, 1, 2
"""Exit codes: every file was answered; the call failed or a file was not answered; a file cannot
be played, or a result cannot be written."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A file that got no answer."""

    user: str
    why: str


def as_json(
    turns: Sequence[Turn | Unanswered], greeting: str | None, lag: Lag, url: str
) -> dict[str, Any]:
    """Return the content of the ``--json`` file."""
    return {
        "url": url,
        "greeting": greeting,
        "turns": [
            {"user": turn.user, "agent": "", "v2v_ms": None, "error": turn.why}
            if isinstance(turn, Unanswered)
            else {
                "user": turn.user,
                "agent": turn.agent,
                "v2v_ms": None if turn.v2v_ms is None else round(turn.v2v_ms, 1),
                "cut_in_ms": None if turn.cut_in_ms is None else round(turn.cut_in_ms, 1),
            }
            for turn in turns
        ],
        "caller_lag_ms": {"p99": round(lag.p99_ms, 2), "max": round(lag.max_ms, 2)},
    }


async def call(
    url: str,
    wavs: Sequence[Path],
    *,
    out: Path | None = None,
    json_path: Path | None = None,
    timeout_s: float = 20.0,
    transport: str = WEBRTC,
    network: Network | None = None,
    print: Callable[[str], object] = print,
) -> int:
    """Make one call.

    Args:
        url: The agent's address.
        wavs: What to say, in this order, each after the answer to the one before.
        out: Write all that the agent said there, with its real timing, as a 48 kHz mono WAV.
        json_path: Write the turns there.
        timeout_s: How long connecting, and every answer, may take to begin.
        transport: The line to call on.
        network: What lies between, where the line is a telephone's.
        print: Where the lines for a person go.

    Returns:
        An exit code; see :data:`OK` and its neighbours. Errors are printed, never raised.
    """
    try:
        speeches = [read_wav(wav) for wav in wavs]
        check_places(out, json_path)
        caller = dialled(transport, url, timeout_s=timeout_s, network=network)
    except CallError as error:
        print(f"error: {error}")
        return BAD_INPUT
    turns: list[Turn | Unanswered] = []
    greeting: str | None = None
    failed = False
    try:
        async with caller:
            greeting = await caller.greeting()
            if greeting is not None:
                print(f"agent: {greeting}")
            for speech in speeches:
                turns.append(await _ask(caller, speech, timeout_s))
                _show(turns[-1], speech.name, print)
    except CallError as error:
        failed = True
        print(f"error: {error}")
    lag = caller.lag()
    if turns:
        late = f"p99 {lag.p99_ms:.1f} ms, max {lag.max_ms:.1f} ms"
        print(f"(how late the caller's own packets left: {late})")
    try:
        if out is not None:
            write_wav(out, caller.heard.audio())
        if json_path is not None:
            _write_json(json_path, as_json(turns, greeting, lag, url))
    except (WavError, OSError) as error:
        print(f"error: {error}")
        return BAD_INPUT
    answered = all(isinstance(turn, Turn) for turn in turns)
    return OK if answered and not failed else NO_ANSWER


async def _ask(caller: Speaking, speech: Speech, timeout_s: float) -> Turn | Unanswered:
    asked_s = caller.now()
    try:
        return await caller.say(speech, timeout_s=timeout_s)
    except NoAnswer as error:
        return Unanswered(caller.log.user_words(asked_s), str(error))


def _show(turn: Turn | Unanswered, name: str, print: Callable[[str], object]) -> None:
    print(f"user:  {turn.user or '(nothing understood)'}")
    if isinstance(turn, Unanswered):
        print(f"error: {name}: {turn.why}")
    elif turn.cut_in_ms is not None:
        print(f"agent: {turn.agent}  [cut in {turn.cut_in_ms:.0f} ms before the caller's end]")
    else:
        print(f"agent: {turn.agent}  [{turn.v2v_ms:.0f} ms]")


def check_places(*paths: Path | None) -> None:
    """Refuse a place to write to whose folder is missing, before anything is measured.

    Raises:
        WavError: The folder of one of them is not there.
    """
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise WavError(f"{path}: there is no folder {path.parent}; make it first")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
