"""A process with one model in llama.cpp's server, by way of the xllamacpp wheel.

Run by ``llamacpp_process`` as ``python -m voice_agent.llm.llamacpp_worker LOAD``, spoken to over
stdin and stdout (see ``model_wire``); it ends when its stdin does. It is a process of its own
because a model file that llama.cpp does not like can end it by an assertion.

The server inside also listens for HTTP and cannot be told not to. Here that is a Unix socket in a
folder of our own, which is taken away as soon as the server is up: nobody can connect. Where there
are no Unix sockets it is a port of this machine that answers only to a random key.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

from voice_agent.llm.llamacpp_wire import Load
from voice_agent.llm.model_wire import Kind
from voice_agent.workers.inside import Pipe
from voice_agent.workers.wire import Message, Unpacker

_ERRORS_ONLY = 1
"""llama.cpp's log level; above it prompts are logged."""
_TIMINGS = (
    *("cache_n", "prompt_n", "prompt_ms", "predicted_n", "predicted_ms"),
    *("draft_n", "draft_n_accepted"),
)


def load_server(load: Load) -> Any:
    """Load the model.

    Raises:
        RuntimeError: llama.cpp refuses it; why it has written to stderr.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = load.model
    params.n_parallel = load.slots
    params.n_ctx = load.context * load.slots
    params.n_batch = load.batch
    params.n_ubatch = min(load.batch, params.n_ubatch)
    params.n_gpu_layers = load.gpu_layers
    params.n_ctx_checkpoints = load.checkpoints
    params.cache_ram_mib = 0  # of use only where the server picks the slots
    params.fit_params = False
    params.warmup = False  # the engine warms up with the agent's own prompt
    params.verbosity = _ERRORS_ONLY
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = "null"
    params.api_keys = [secrets.token_urlsafe(32)]
    cpus = [params.cpuparams, params.cpuparams_batch]
    if load.draft:
        kind = xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_MTP
        params.speculative.types = [kind]
        params.speculative.draft.n_max = load.draft
        cpus += [params.speculative.draft.cpuparams, params.speculative.draft.cpuparams_batch]
    for cpu in cpus:
        cpu.n_threads = load.threads
    with _closed_door() as address:
        if address:
            params.hostnames = [address]
        return xllamacpp.Server(params)


@contextmanager
def _closed_door() -> Iterator[str]:
    """Yield where the HTTP server may listen until the block is left; empty for its own choice."""
    if not hasattr(socket, "AF_UNIX"):
        yield ""
        return
    folder = tempfile.mkdtemp(prefix="llm-")  # for this user only
    try:
        yield os.path.join(folder, "x.sock")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Requests:
    """The requests under way, each in a thread that waits for llama.cpp's threads."""

    def __init__(self, server: Any, pipe: Pipe, slots: int) -> None:
        self._endpoints: dict[str, Callable[[Any, Any], object]] = {
            "chat": server.handle_chat_completions,
            "completion": server.handle_completions,
        }
        self._pipe = pipe
        # More threads than slots: a cancelled request holds one until its slot is free.
        self._threads = ThreadPoolExecutor(2 * slots + 2)
        self._cancelled: dict[int, Event] = {}

    def take(self, message: Message) -> None:
        """Begin or cancel a request."""
        if message.kind == Kind.ASK:
            self._cancelled[message.number] = Event()
            self._threads.submit(self._work, message.number, message.payload)
        elif message.kind == Kind.CANCEL and message.number in self._cancelled:
            self._cancelled[message.number].set()

    def _work(self, number: int, payload: bytes) -> None:
        cancelled = self._cancelled[number]
        wrong: list[str] = []

        def on_chunk(chunk: dict[str, Any]) -> bool:
            # What is raised in here is swallowed by xllamacpp, which then ends the request.
            if cancelled.is_set():
                return True
            if error := chunk.get("error"):
                wrong.append(json.dumps(error))
                return True
            if said := _said(chunk):
                content = json.dumps(said, ensure_ascii=False).encode()
                self._pipe.say(Message(Kind.CHUNK, 0, number, content))
            return cancelled.is_set()

        try:
            asked = json.loads(payload)
            # Progress, so that there is something to answer "cancelled" to before the first token.
            body = {**asked["body"], "stream": True, "return_progress": True}
            if not cancelled.is_set():
                self._endpoints[asked["endpoint"]](body, on_chunk)
        except Exception as error:
            wrong.append(json.dumps({"message": str(error) or type(error).__name__}))
        del self._cancelled[number]
        self._pipe.say(Message(Kind.END, 0, number, "".join(wrong[:1]).encode()))


def _said(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return what of a chunk is worth telling."""
    said: dict[str, Any] = {}
    if choices := chunk.get("choices"):
        choice = choices[0]
        delta = choice.get("delta") or {}
        said["text"] = delta.get("content") or choice.get("text")
        said["thought"] = bool(delta.get("reasoning_content"))
        said["calls"] = delta.get("tool_calls")
        said["finish"] = choice.get("finish_reason")
        said["logprobs"] = (choice.get("logprobs") or {}).get("content")
        said = {key: value for key, value in said.items() if value}
    if said or chunk.get("usage"):
        timings = chunk.get("timings") or {}
        told = {key: timings[key] for key in _TIMINGS if key in timings}
        if told:
            said["timings"] = told
    return said


def main() -> None:
    """Load the model, say READY, and serve until the server goes."""
    pipe = Pipe()
    load = Load.from_json(sys.argv[1])
    try:
        requests = Requests(load_server(load), pipe, load.slots)
    except RuntimeError as error:
        sys.exit(str(error))
    unpacker = Unpacker()
    try:
        pipe.say(Message(Kind.READY))
        while received := pipe.read():
            for message in unpacker.feed(received):
                requests.take(message)
    except BrokenPipeError:  # the server has gone
        pass
    sys.stderr.flush()
    os._exit(0)  # llama.cpp's threads would first finish what nobody waits for


if __name__ == "__main__":
    main()
