"""A pipeline's service-level objective at work: every turn judged, and what many of them mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from loguru import logger

from voice_agent.budget.burn import BurnRate
from voice_agent.budget.settings import BudgetSettings
from voice_agent.budget.verdict import judge
from voice_agent.trace.model import Session, Turn, Verdict


class Objective:
    """The turns of all conversations of one process, judged.

    Args:
        settings: ``[budget]`` of the pipeline.
        clock: Seconds that never go back.
    """

    def __init__(
        self, settings: BudgetSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self.budgets = settings.limits()
        self._clock = clock
        self._burn = BurnRate(settings.target, settings.windows, settings.min_turns)
        self._burning = False
        self.refused = 0
        """Callers refused because of ``refuse_for_s``."""

    def judge(self, turn: Turn) -> Verdict | None:
        """Return what ``voice_agent.budget.verdict.judge`` makes of the turn."""
        return judge(turn, self.budgets)

    # ----- a sink of ``trace.tracing`` -----

    def turn(self, turn: Turn) -> None:
        """A turn that goes on counts when it is over."""

    def finished(self, turn: Turn) -> None:
        """Count a turn that is over, if it was judged; each turn once."""
        if turn.verdict is not None:
            self._burn.note(self._clock(), missed=turn.verdict == "missed")
            self._look()

    def session(self, session: Session) -> None:
        """Sessions do not count."""

    # ----- what it means -----

    @property
    def burning(self) -> bool:
        """Whether turns are missed faster than the objective allows, now."""
        return self._look()

    @property
    def first_clause_max_words(self) -> int | None:
        """How short an answer's first clause is to be now; None: as always."""
        if "shorten" in self.settings.on_miss and self.burning:
            return self.settings.shorten.first_clause_max_words
        return None

    @property
    def refuse_for_s(self) -> float | None:
        """For how long a new caller is refused now, seconds; None: not at all."""
        if "shed" in self.settings.on_miss and self.burning:
            return self.settings.shed.retry_after_s
        return None

    def figures(self) -> dict[str, Any]:
        """Return the objective and its burn rates now, as JSON."""
        return {
            "target": self.settings.target,
            "burning": self.burning,
            "refused": self.refused,
            "windows": [asdict(rate) for rate in self._burn.rates(self._clock())],
        }

    def _look(self) -> bool:
        """Return ``burning``, and say in the log when it has changed."""
        now = self._clock()
        burning = self._burn.burning(now)
        if burning and not self._burning:
            counts = (
                f"{r.missed} of {r.turns} in {r.window_s:.0f} s" for r in self._burn.rates(now)
            )
            logger.warning(f"turns miss their budget too often: {', '.join(counts)}")
        elif self._burning and not burning:
            logger.info("turns keep their budget again")
        self._burning = burning
        return burning
