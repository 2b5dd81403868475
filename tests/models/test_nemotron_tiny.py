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
    """Bookings made, changed and cancelled as they were meant, nothing claimed that was not done,
    and what is not the restaurant's business declined."""
    evaluation = Evaluation(Gguf(MODEL, schemas(bella_notte())), "development", seed=2)
    await evaluation.bookings(20)
    await evaluation.questions()
    await evaluation.elsewhere()
    scores = evaluation.scores
    assert scores.invented == 0, scores.failed
    assert scores.share(*BOOKINGS) >= 0.85, scores.failed
    assert scores.share("elsewhere declined") >= 0.85, scores.failed
    assert scores.share("questions") >= 0.75, scores.failed
