"""The small language model that ships, judged by callers it has never heard: a small version of
``models/nemotron-tiny/evaluate.py``. The model card has the large one's figures."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "models" / "nemotron-tiny"
for folder in ("corpus", "evaluation"):
    sys.path.insert(0, str(HERE / folder))

from brains import Gguf  # noqa: E402
from tasks import BOOKINGS, Evaluation  # noqa: E402
from world import bella_notte, schemas  # noqa: E402

MODEL = HERE / "nemotron-tiny.gguf"


@pytest.mark.slow
async def test_unseen_callers_get_what_they_want() -> None:
    """Bookings made, changed and cancelled as they were meant, and no more claimed than was done;
    most questions answered, most of what is not the restaurant's business declined."""
    brain = Gguf(MODEL, schemas(bella_notte()))
    evaluation = Evaluation(brain, "development", seed=2)
    try:
        await evaluation.bookings(15)
        await evaluation.questions()
        await evaluation.elsewhere()
    finally:
        await brain.close()
    scores = evaluation.scores
    assert scores.share(*BOOKINGS) >= 0.85, scores.failed
    assert scores.invented <= 1, scores.failed  # a name said wrongly
    # The card says what was wanted (0.9) and what the model does; these only hold it there.
    assert scores.share("elsewhere declined") >= 0.9, scores.failed
    assert scores.share("questions") >= 0.85, scores.failed
