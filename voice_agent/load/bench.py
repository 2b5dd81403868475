"""``voice-agent bench turns``: play a set of utterances at an agent and say how it took turns.

Every kind is played in a call of its own; with a baseline, each kind is played at both agents
before the next, so that both meet the machine in the same mood. What is played over an answer
begins 800 ms after the answer's first sound, and is judged by what was heard: against the length
of the same answer undisturbed, measured before the first of them.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voice_agent.load import guesses, table, utterances
from voice_agent.load.call import check_places
from voice_agent.load.dialling import WEBRTC, dialled, serving
from voice_agent.load.errors import CallError, Lost, NoAnswer, WavError
from voice_agent.load.impairment import Network
from voice_agent.load.keeping_time import keeping_time
from voice_agent.load.measure import Usual, ask, play_over, usual_answer
from voice_agent.load.mouth import Lag
from voice_agent.load.playlist import Item, choose, read_playlist
from voice_agent.load.score import Outcome, as_data, figures, ratios
from voice_agent.load.script import KINDS, OVER_THE_AGENT
from voice_agent.load.served import served
from voice_agent.load.speaking import Speaking

OK, FAILED, BAD_INPUT = 0, 1, 2

GREETING_S = 1.5
"""A greeting that has not begun after this long does not come."""
REDIALS = 2
TRUSTED_LAG_MS = 20.0

Print = Callable[[str], object]


@dataclass
class Side:
    """One agent under test and what happened on it."""

    name: str
    url: str
    transport: str = WEBRTC
    """The line it is called on."""
    network: Network | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    lags: list[Lag] = field(default_factory=list)
    counters: guesses.Counters = field(default_factory=dict)
    """What the server told of its speculation."""
    usual: Usual | None = None
    """The answer that things are played over, once it is known."""

    def figures(self) -> dict[str, Any]:
        """Return all figures of this agent, as plain data."""
        made = figures(self.outcomes)
        made["url"] = self.url
        made["speculation"] = guesses.rates(self.counters) if self.counters else None
        if self.lags:
            made["caller_lag_ms"] = {
                "p99": round(max(lag.p99_ms for lag in self.lags), 2),
                "max": round(max(lag.max_ms for lag in self.lags), 2),
            }
        return made


def default_folder() -> Path:
    """Return where the utterances are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "voice-agent" / f"utterances-{utterances.VERSION}"


async def bench_turns(
    url: str | None = None,
    *,
    serve: Sequence[str] = (),
    wav_dir: Path | None = None,
    kinds: Sequence[str] = (),
    limit: int | None = None,
    baseline: bool = False,
    transports: Sequence[str] = (WEBRTC,),
    network: Network | None = None,
    json_path: Path | None = None,
    floor_dbfs: float = -66.0,
    print: Print = print,
) -> int:
    """Run the bench.

    Args:
        url: The agent's address; None starts one, with ``serve``.
        serve: Arguments of ``voice-agent serve`` for an agent of our own, for example
            ``["--pipeline", "fixed-latency"]``.
        wav_dir: Play these WAVs and their ``index.json`` instead of our own utterances.
        kinds: Play only these kinds; empty: all.
        limit: Play at most this many of each kind.
        baseline: Measure a stock Pipecat agent too, and print the ratios to it.
        transports: The lines that the agent is called on, each in turn.
        network: What lies between, where the line is a telephone's.
        json_path: Write everything there.
        floor_dbfs: RMS of the noise that is always on the caller's line.
        print: Where the lines for a person go.

    Returns:
        0, 1 (an agent could not be called or lost) or 2 (bad input).
    """
    try:
        items = _items(wav_dir, kinds, limit, print)
        check_places(json_path)
    except CallError as error:
        print(f"error: {error}")
        return BAD_INPUT
    sides: list[Side] = []
    try:
        async with AsyncExitStack() as running:
            running.enter_context(keeping_time())
            if url is None:
                command = ["-m", "voice_agent", "serve", "--host", "127.0.0.1", "--port", "0"]
                command += serving(transports)
                agent = served([*command, *serve], "voice-agent serve")
                url = (await running.enter_async_context(agent)).url
            for transport in transports:
                name = "agent" if len(transports) == 1 else transport
                over = network if transport != WEBRTC else None
                sides.append(Side(name, url, transport, over))
            if baseline:
                stock = served(["-m", "voice_agent.load.baseline"], "the baseline")
                sides.append(Side("baseline", (await running.enter_async_context(stock)).url))
            await _play(sides, items, floor_dbfs, print)
    except CallError as error:
        print(f"error: {error}")
        return FAILED
    return _report(sides, json_path, print)


def _items(
    wav_dir: Path | None, kinds: Sequence[str], limit: int | None, print: Print
) -> list[Item]:
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise WavError(f"no kind is called {unknown[0]!r}; there are: {', '.join(KINDS)}")
    folder = wav_dir or default_folder()
    if wav_dir is None:
        utterances.make(folder, print=print)
    items = choose(read_playlist(folder), kinds, limit)
    if not items:
        raise WavError(f"{folder}: nothing of the kind {', '.join(kinds)} in it")
    return items


async def _play(
    sides: Sequence[Side], items: Sequence[Item], floor_dbfs: float, print: Print
) -> None:
    question = next((item for item in items if item.kind == "complete"), items[0])
    for kind in dict.fromkeys(item.kind for item in items):
        for side in sides:
            chosen = [item for item in items if item.kind == kind]
            print(f"{side.name}: {len(chosen)} {kind} ...")
            await _block(side, chosen, question, floor_dbfs)
            gc.collect()


async def _block(side: Side, items: Sequence[Item], question: Item, floor_dbfs: float) -> None:
    """Play items of one kind; a call that breaks is made again for what is left."""
    left = list(items)
    before = await guesses.counted(side.url)
    told: guesses.Counters = {}
    for attempt in range(REDIALS + 1):
        async with dialled(
            side.transport, side.url, floor_dbfs=floor_dbfs, network=side.network
        ) as caller:
            try:
                await caller.greeting(within_s=GREETING_S)
                while left:
                    side.outcomes.append(await _measure(side, caller, left[0], question))
                    left.pop(0)
            except (NoAnswer, Lost) as error:
                if attempt == REDIALS:
                    raise
                side.outcomes.append(Outcome(left[0].name, left[0].kind, error=str(error)))
                left.pop(0)
            finally:
                side.lags.append(caller.lag())
                guesses.add(told, guesses.told(caller.log))
        if not left:
            break
    after = await guesses.counted(side.url)
    guesses.add(side.counters, guesses.difference(after, before) if after else told)


async def _measure(side: Side, caller: Speaking, item: Item, question: Item) -> Outcome:
    if item.kind not in OVER_THE_AGENT:
        return await ask(caller, item)
    if side.usual is None:
        side.usual = await usual_answer(caller, question)
    return await play_over(caller, item, question, side.usual)


def _report(sides: Sequence[Side], json_path: Path | None, print: Print) -> int:
    made = {side.name: side.figures() for side in sides}
    compared = ratios(made[sides[0].name], made["baseline"]) if "baseline" in made else {}
    for line in table.lines(made, compared):
        print(line)
    if any(side.get("caller_lag_ms", {}).get("max", 0) > TRUSTED_LAG_MS for side in made.values()):
        print("note: this machine was too busy for the caller to keep time; see its own lag above")
    if json_path is not None:
        turns = {side.name: as_data(side.outcomes) for side in sides}
        content = {name: {**side, "turns": turns[name]} for name, side in made.items()}
        if compared:
            content["ratios"] = compared
        try:
            json_path.write_text(json.dumps(content, indent=2) + "\n")
        except OSError as error:
            print(f"error: {json_path}: cannot be written: {error}")
            return BAD_INPUT
    return OK
