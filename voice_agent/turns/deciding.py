"""What time alone asks of the turn machine: guess, finalize, decide, judge, give up waiting."""

from __future__ import annotations

from dataclasses import replace

from voice_agent.turns.barge_in import (
    Meaning,
    intent,
    is_backchannel,
    meaning,
    same_words,
    words_of,
)
from voice_agent.turns.endpoint import INCOMPLETE, required_silence_ms
from voice_agent.turns.events import (
    Action,
    AskSound,
    Drop,
    Duck,
    Finalize,
    Hush,
    NoTurn,
    Release,
    Remember,
    Resume,
    Speculate,
    Stop,
    Tag,
    Unduck,
)
from voice_agent.turns.late import due, go_on, late, waiting
from voice_agent.turns.state import Agent, Made, State, Step, User, close, judged, owe

_ROUNDING_MS = 1e-3
_FINAL_AHEAD_MS = 100.0
"""With incomplete words the final is asked for this long before the silence would end the turn."""
OVERLAP_FINAL_MS = 100.0
"""After so much silence of a voice over the agent's, its words are asked for: they decide."""
UNHUSH_MS = 50.0
"""A voice that paused the agent and fell silent for this long without words that mean something
was most likely a continuer: the agent goes on, quietly until the words are in."""
_FINAL_SOON_MS = 50.0
"""A guess waits this long for a final that was asked for in this silence: its last word is often
what the partial lacks, and a guess without it is wasted."""
_LATE_GUESS_MS = 400.0
"""Incomplete words start an answer only this long before the silence would end the turn."""


def advance(s: State, now: float) -> Step:
    """Do what the time that has passed asks for."""
    actions: list[Action] = []
    if s.agent is Agent.DUCKED and s.user is not User.QUIET:
        s, more = _judge_overlap(s, now)
        actions.extend(more)
    if s.agent in (Agent.IDLE, Agent.STOPPED) or not s.decides:
        for act in (_ask_sound, _finalize, _guess, _decide) if s.decides else (_decide,):
            if s.user is User.QUIET:
                break
            s, more = act(s, now)
            actions.extend(more)
    s, more = late(s, now)
    actions.extend(more)
    if more and s.agent is Agent.IDLE and s.user is not User.QUIET:
        s, more = advance(s, now)  # given up at last: the turn that waited for it can be decided
        actions.extend(more)
    return s, tuple(actions)


def _judge_overlap(s: State, now: float) -> Step:
    # A timer set for ``quiet_at + x`` must find x elapsed, however the sum was rounded.
    voice_ms = (now if s.user is User.SPEAKING else s.quiet_at) - s.voice_at + _ROUNDING_MS
    silent_ms = 0.0 if s.user is User.SPEAKING else now - s.quiet_at + _ROUNDING_MS
    words = words_of(s.text)
    all_heard = s.user is User.PAUSING and s.final_asked and not s.finals_owed
    means = meaning(words, voice_ms, silent_ms, s.settings, echo=s.echo, all_heard=all_heard)
    if means is Meaning.INTERRUPTION:
        assert s.answer is not None
        return replace(s, agent=Agent.STOPPED), (Stop(s.answer),)
    if means is Meaning.BACKCHANNEL and s.user is not User.SPEAKING:
        said = s.text
        owed = s.finals_owed + (0 if s.final_asked else 1)
        quiet = replace(close(s), agent=Agent.SPEAKING, finals_owed=owed, discard_finals=owed)
        return quiet, (Unduck(said), *(() if s.final_asked else (Finalize(),)))
    s, actions = _hush(s, words, voice_ms, silent_ms)
    if s.user is User.PAUSING and not s.final_asked and silent_ms >= OVERLAP_FINAL_MS:
        s = replace(s, final_asked=True, finals_owed=s.finals_owed + 1)
        return s, (*actions, Finalize())
    return s, actions


def _hush(s: State, words: list[str], voice_ms: float, silent_ms: float) -> Step:
    """Pause the agent for a voice that lasts; let it go on as soon as that looks harmless."""
    harmless = s.echo or is_backchannel(words)
    if s.hushed:
        over = silent_ms >= UNHUSH_MS and not intent(words)
        return (replace(s, hushed=False), (Duck(),)) if harmless or over else (s, ())
    if s.user is User.SPEAKING and voice_ms >= s.settings.hush_voice_ms and not harmless:
        return replace(s, hushed=True), (Hush(),)
    return s, ()


def _ask_sound(s: State, now: float) -> Step:
    asks = s.settings.sound_asks_ms
    if (
        s.user is not User.PAUSING
        or not s.settings.sound_model
        or s.sounds_asked >= len(asks)
        or (s.words_p is not None and s.words_p < INCOMPLETE)
        or now < s.quiet_at + asks[s.sounds_asked]
    ):
        return s, ()
    asked = sum(now >= s.quiet_at + ask for ask in asks)
    return replace(s, sounds_asked=asked), (AskSound(s.quiet_at),)


def _guess_at(s: State) -> float | None:
    """When an answer may be started on what was heard so far; None: not on this."""
    if (
        not s.settings.speculate
        or not s.answers
        or not s.text
        or s.guess is not None
        or s.guesses >= s.settings.speculations_max
        or s.user is User.CLOSING
    ):
        return None
    scarce = s.hit_rate < s.settings.speculate_min_hit_rate or s.words_at < s.strained_until
    if scarce:
        # Wrong guesses, or a machine that cannot keep time: only one that is nearly certain.
        needed = required_silence_ms(s.words_p, s.sound_p, s.settings)
        return s.quiet_at + needed if s.user is User.PAUSING else None
    if s.user is User.SPEAKING:
        if s.words_p is None or s.words_p < s.settings.speculate_min_p:
            return None
        return s.words_at + s.settings.speculate_stable_ms
    silence = s.settings.speculate_silence_ms
    if s.finals_owed:
        silence += _FINAL_SOON_MS
    if s.words_p is not None and s.words_p < INCOMPLETE:
        needed = required_silence_ms(s.words_p, s.sound_p, s.settings)
        silence = max(silence, needed - _LATE_GUESS_MS)
    return s.quiet_at + silence


def _guess(s: State, now: float) -> Step:
    at = _guess_at(s)
    if at is None or now < at:
        return s, ()
    tag = Tag(s.turn + 1, s.revision + 1)
    s = replace(s, revision=tag.revision, guess=tag, guess_text=s.text, guesses=s.guesses + 1)
    s = replace(s, guess_made=Made(asked_at=now))
    return s, (Speculate(tag, s.guess_text),)


def _finalize_at(s: State) -> float | None:
    if s.user is not User.PAUSING or s.final_asked:
        return None
    needed = required_silence_ms(s.words_p, s.sound_p, s.settings)
    complete = (
        s.settings.finalize_eagerly or s.words_p is None or s.words_p >= s.settings.end_midpoint
    )
    early = s.settings.finalize_ms
    if complete:
        return s.quiet_at + min(early, needed)
    return s.quiet_at + max(min(early, needed), needed - _FINAL_AHEAD_MS)


def _finalize(s: State, now: float) -> Step:
    at = _finalize_at(s)
    if at is None or now < at:
        return s, ()
    return replace(s, final_asked=True, finals_owed=s.finals_owed + 1), (Finalize(),)


def _decide(s: State, now: float) -> Step:
    actions: list[Action] = []
    if s.user is User.SPEAKING and s.decides and now >= s.opened_at + s.settings.max_turn_ms:
        s = replace(s, user=User.CLOSING, closing_at=now, quiet_at=now, final_asked=True)
        s = replace(s, finals_owed=s.finals_owed + 1)
        actions.append(Finalize())
    if s.user is User.PAUSING and s.decides:
        needed = required_silence_ms(s.words_p, s.sound_p, s.settings)
        if now >= s.quiet_at + needed:
            s = replace(s, user=User.CLOSING, closing_at=now)
    if s.user is not User.CLOSING:
        return s, tuple(actions)
    if s.finals_owed and now < s.closing_at + s.settings.final_wait_ms:
        return s, tuple(actions)
    s, decided = _decided(s, now)
    return s, (*actions, *decided)


def _decided(s: State, now: float) -> Step:
    text = s.text
    if not text:
        interrupted = s.answer if s.agent is Agent.STOPPED else None
        dropped = (Drop(s.guess),) if s.guess is not None else ()
        s = close(s)
        if interrupted is None:
            return s, (*dropped, NoTurn())
        s = replace(s, agent=Agent.SPEAKING)
        if not waiting(s):
            return s, (*dropped, Resume(interrupted))
        s, more = go_on(s, now)
        return s, (*dropped, Resume(interrupted), *more)
    s = replace(s, decided=s.segments, decided_partial=s.partial)
    if not s.answers:
        remembered = Remember(s.turn + 1, text, s.quiet_at)
        if s.agent is Agent.STOPPED:
            s = replace(s, agent=Agent.IDLE, answer=None)
        s = replace(close(s), turn=s.turn + 1, answer_final_owed=s.finals_owed > 0)
        return s, (remembered,)
    actions: list[Action] = []
    tag, made = s.guess, s.guess_made
    if tag is None or not same_words(s.guess_text, text):
        if tag is not None:
            actions.append(Drop(tag))
            s = judged(s, right=False)
        tag, made = Tag(s.turn + 1, s.revision + 1), Made(asked_at=now)
        actions.append(Speculate(tag, text))
    else:
        s = judged(s, right=True)
    actions.append(Release(tag, text, s.quiet_at))
    s = replace(
        close(s),
        turn=s.turn + 1,
        revision=max(s.revision, tag.revision),
        answer_bound=False,
        answer_tries=0,
        answer_final_owed=s.finals_owed > 0,
    )
    return owe(s, tag, text, now, made), tuple(actions)


def wake_at(s: State, now: float) -> float | None:
    """Return when ``step`` must be called with ``Tick`` if nothing else happens; None: never.

    What is due by ``now`` has been done by the step that led here, so only later times count.
    """
    times = due(s)
    if not s.decides:
        closing = s.closing_at + s.settings.final_wait_ms
        times.append(closing if s.user is User.CLOSING else None)
        return min((time for time in times if time is not None and time > now), default=None)
    if s.user is User.SPEAKING:
        times.append(s.opened_at + s.settings.max_turn_ms)
    if s.agent is Agent.DUCKED:
        if s.user is User.SPEAKING:
            times.append(s.voice_at + s.settings.hush_voice_ms)
            times.append(s.voice_at + s.settings.stop_voice_ms)
        elif s.user is not User.QUIET:
            times.append(s.quiet_at + OVERLAP_FINAL_MS)
            times.append(s.quiet_at + UNHUSH_MS)
            times.append(s.quiet_at + s.settings.resume_ms)
    elif s.user is not User.QUIET and s.agent in (Agent.IDLE, Agent.STOPPED):
        times += [_guess_at(s), _finalize_at(s)]
        if s.user is User.PAUSING:
            if s.settings.sound_model:
                asks = s.settings.sound_asks_ms[s.sounds_asked :]
                times += [s.quiet_at + ask for ask in asks]
            times.append(s.quiet_at + required_silence_ms(s.words_p, s.sound_p, s.settings))
        if s.user is User.CLOSING:
            times.append(s.closing_at + s.settings.final_wait_ms)
    return min((time for time in times if time is not None and time > now), default=None)
