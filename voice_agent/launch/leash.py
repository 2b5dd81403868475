"""Holds a server for an agent: ``python -m voice_agent.launch.leash COMMAND...``.

Runs the command with what it prints going to stderr, and ends it as soon as stdin ends, which it
does when the agent ends in whatever way, SIGKILL included. Imports only the standard library.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

PATIENCE_S = 12.0
"""From the request to end to the kill; a server of ours lets streams finish for 10 s."""


def _die_with_parent() -> None:
    """Have the kernel end the command even when this process is killed (prctl(2))."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def hold(command: list[str]) -> int:
    """Run ``command`` until it ends or stdin does; return its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # The agent says when, by closing the pipe. Not SIG_IGN: the command would inherit that.
        signal.signal(number, lambda *_: None)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            # Ctrl-C in a terminal goes to the whole group: the server is not to end before us.
            start_new_session=os.name == "posix",
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return 127

    def watch() -> None:
        with suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        with suppress(OSError):
            child.terminate()
        try:
            child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(hold(sys.argv[1:]))
