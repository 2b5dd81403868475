"""Evaluate a model as the host of Bella Notte: callers with unseen wordings, real tools.

    python models/nemotron-tiny/evaluate.py MODEL.gguf [--part final] [--speech]

prints a Markdown table. ``--patterns`` evaluates the pattern script instead, ``--log FILE`` keeps
the calls that went wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in ("corpus", "evaluation"):
    sys.path.insert(0, str(HERE / folder))

from brains import Brain, Gguf, Patterns  # noqa: E402
from spoken_line import Ear  # noqa: E402
from tasks import BOOKINGS, Evaluation  # noqa: E402
from world import bella_notte, schemas  # noqa: E402

PARTS = ("development", "final", "strangers")
SCRIPT = HERE.parents[1] / "pipelines" / "agents" / "bella-notte.script.toml"


async def evaluate(brain: Brain, options: argparse.Namespace) -> None:
    """Play what was asked for and print what came of it."""
    ear = Ear(options.seed, tuple(options.voices)) if options.speech else None
    evaluation = Evaluation(brain, options.part, options.seed, ear)
    wanted = options.tasks or ["questions", "elsewhere"]
    if not options.tasks and options.part != "strangers":
        wanted += BOOKINGS
    try:
        await evaluation.bookings(options.calls, [task for task in BOOKINGS if task in wanted])
        if "questions" in wanted:
            await evaluation.questions()
        if "elsewhere" in wanted:
            await evaluation.elsewhere()
    finally:
        await brain.close()
    print(evaluation.scores.table())
    if options.log:
        options.log.write_text("\n".join(evaluation.scores.failed), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--patterns", action="store_true", help="the pattern script instead")
    parser.add_argument("--part", default="development", choices=PARTS)
    parser.add_argument("--calls", type=int, default=100, help="of the task 'book'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tasks", nargs="*", choices=[*BOOKINGS, "questions", "elsewhere"])
    parser.add_argument("--speech", action="store_true", help="through a voice and the recogniser")
    parser.add_argument("--voices", nargs="*", default=Ear.VOICES)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    if options.patterns:
        brain: Brain = Patterns(SCRIPT)
    elif options.model is None:
        parser.error("a MODEL.gguf, or --patterns")
    else:
        brain = Gguf(options.model, schemas(bella_notte()))
    asyncio.run(evaluate(brain, options))


if __name__ == "__main__":
    main()
