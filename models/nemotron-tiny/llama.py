"""The shipped engine, for checks: a GGUF in llama.cpp (xllamacpp), on one thread, greedy."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import xllamacpp


class LlamaCpp:
    """One model with one slot.

    Args:
        path: A GGUF.
        drafts: Tokens that the MTP block drafts a step; 0 is without.
        context: Tokens.
    """

    def __init__(self, path: Path, drafts: int = 0, context: int = 4096) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = context, 1
        params.n_gpu_layers, params.fit_params = 0, False
        params.verbosity, params.warmup = 0, False
        draft = params.speculative.draft
        for threads in (params.cpuparams, params.cpuparams_batch, draft.cpuparams):
            threads.n_threads = 1
        draft.cpuparams_batch.n_threads = 1
        if drafts:
            kind = xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_MTP
            params.speculative.types = [kind]
            draft.n_max = drafts
        self._server = xllamacpp.Server(params)
        self.timings: dict[str, Any] = {}
        """Of the last answer: draft_n, draft_n_accepted, predicted_n, ..."""

    def complete(self, ids: list[int], length: int, *, past_end: bool = False) -> list[int]:
        """Return up to ``length`` greedy tokens after ``ids``; ``past_end`` ignores an end."""
        body = {
            "prompt": ids,
            "n_predict": length,
            "temperature": 0,
            "ignore_eos": past_end,
            "return_tokens": True,
            "cache_prompt": False,
        }
        found = self._post("/completion", body)
        self.timings = found["timings"]
        return found["tokens"]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        # The server in the wheel listens on loopback; its Python call has no raw completion of ids.
        request = urllib.request.Request(
            f"{self._server.listening_address}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
