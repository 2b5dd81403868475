"""What is logged: little, to stderr, and nobody's words unless asked for."""

from __future__ import annotations

import logging
import sys

from loguru import logger


def configure(verbosity: int = 0) -> None:
    """Set up logging; called before Pipecat is imported, which logs a banner on import.

    Args:
        verbosity: -1 logs warnings; 0 adds a line for each turn and call; 1 adds our details and
            Pipecat's progress; 2 adds Pipecat's debugging, *which contains what people say*.
    """
    named = {
        "": "INFO" if verbosity > 0 else "WARNING",
        "voice_agent": ("WARNING", "INFO", "DEBUG")[min(max(verbosity, -1), 1) + 1],
        "pipecat": ("ERROR", "INFO", "DEBUG")[min(max(verbosity, 0), 2)],
    }
    levels: dict[str | None, str | int | bool] = dict(named.items())
    logger.remove()
    logger.add(
        sys.stderr,
        # Pipecat traces every frame: what no filter lets through must not even become a record,
        # which took a tenth of the event loop's time.
        level=min(logger.level(name).no for name in named.values()),
        filter=levels,
        format="<green>{time:HH:mm:ss.SSS}</green> <level>{level:<7}</level> {message}",
        backtrace=False,
        diagnose=False,  # diagnosing prints the values of variables: people's words among them
    )
    logging.captureWarnings(True)  # Pipecat shows its deprecations even where Python would not
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it would log tickets in URLs
    logging.basicConfig(
        level=logging.INFO if verbosity > 1 else logging.ERROR,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
