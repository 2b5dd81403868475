"""``voice-agent call``: a headless caller, with a server of its own unless a URL is given."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

from voice_agent import logs
from voice_agent.commands import fail, sigterm_as_exit

STOP_TIMEOUT_S = 20.0


class NoServer(RuntimeError):
    """The server did not get ready; it has said why on stderr. ``code`` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__("the server did not start")
        self.code = code


def run(arguments: argparse.Namespace) -> int:
    """Call; 0 when every file was answered."""
    logs.configure(arguments.verbose)
    if arguments.url and (arguments.set or arguments.pipeline != "embedded"):
        return fail("--pipeline and --set are for a server of this command's own, without --url")
    from voice_agent.load.errors import WavError
    from voice_agent.load.wav import read_wav

    try:
        for wav in arguments.wav:
            read_wav(wav)
        with contextlib.ExitStack() as stack:
            url = arguments.url or stack.enter_context(_own_server(arguments))
            return asyncio.run(_call(arguments, url))
    except WavError as error:
        return fail(error)
    except NoServer as error:
        fail(error)
        return error.code


async def _call(arguments: argparse.Namespace, url: str) -> int:
    from voice_agent.load.call import call

    return await call(
        url,
        arguments.wav,
        out=arguments.out,
        json_path=arguments.json,
        timeout_s=arguments.timeout,
        transport=arguments.transport,
        network=arguments.network,
    )


@contextlib.contextmanager
def _own_server(arguments: argparse.Namespace) -> Iterator[str]:
    """Start ``voice-agent serve`` on a free port, yield its URL, and always end it."""
    from voice_agent.load.dialling import serving

    command = [sys.executable, "-m", "voice_agent", "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--pipeline", arguments.pipeline]
    command += [f"--set={override}" for override in arguments.set]
    command += serving([arguments.transport])
    command += ["-v"] * arguments.verbose or ["-q"]
    with sigterm_as_exit(), _ended(command) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.search(r"https?://\S+", line):
                yield found[0]
                return
        raise NoServer(server.wait() or 1)


@contextlib.contextmanager
def _ended(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
