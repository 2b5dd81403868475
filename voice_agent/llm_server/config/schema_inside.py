"""Asks an installed tensorrt_llm what it makes of a configuration; run as a file, see ``schema``.

Imports nothing of this project: the Python that has tensorrt_llm may not have it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_NOT_INSTALLED = 3


def _validate(asked: Mapping[str, Any]) -> Sequence[str]:
    if asked["autodeploy"]:
        from tensorrt_llm._torch.auto_deploy import (  # type: ignore[import-not-found, unused-ignore]
            LlmArgs as Args,
        )
    else:
        from tensorrt_llm.llmapi.llm_args import (  # type: ignore[import-not-found, unused-ignore]
            TorchLlmArgs as Args,
        )
    try:
        args = Args(model=asked["model"], **asked["values"])
    except ValueError as error:  # pydantic's ValidationError is one
        return [line.strip() for line in str(error).splitlines() if line.strip()]
    speculative = getattr(args, "speculative_config", None)
    in_force = getattr(speculative, "max_draft_len", None) or 0
    if in_force != asked["draft"]:
        return [
            f"max_draft_len {asked['draft']} is read as {in_force} by this version: it counts "
            "layers (num_nextn_predict_layers); use a later one"
        ]
    return []


def main() -> None:
    """Read what is asked from stdin, print a list of problems as JSON."""
    asked = json.loads(sys.stdin.read())
    try:
        found = _validate(asked)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(_NOT_INSTALLED)
    print("\n" + json.dumps(list(found)))


if __name__ == "__main__":
    main()
