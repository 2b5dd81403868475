"""Makes the model again: corpus, tokenizer, training, GGUF, comparison. Needs the extra ``train``.

    voice-agent models build nemotron-tiny [--minutes 85] [--ranks 2] [--work DIR] [--out DIR]

Everything is written under ``--work`` and the results copied to ``--out`` (this folder) at the end;
begun again with the same ``--work`` it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def run(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(FOLDER / script), *map(str, arguments)])


def wait(*started: subprocess.Popen[bytes]) -> None:
    """Wait for all; where one fails, end the others.

    Raises:
        SystemExit: One failed.
    """
    try:
        for process in started:
            if process.wait():
                raise SystemExit(f"{process.args[1]} failed (status {process.returncode})")
    finally:
        for process in started:
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("out/nemotron-tiny"))
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--minutes", type=float, default=85, help="of training")
    parser.add_argument("--ranks", type=int, default=2, help="processes that train, one a core")
    parser.add_argument("--calls", type=int, default=24_000, help="dialogues to train on")
    arguments = parser.parse_args()
    work, out = arguments.work, arguments.out
    corpus, unseen = work / "corpus", work / "unseen"
    work.mkdir(parents=True, exist_ok=True)
    if not (corpus / "heldout.jsonl").exists():
        wait(
            run("corpus/shards.py", "--out", corpus, "--shards", 8, "--calls", arguments.calls // 8)
        )
        wait(
            run("corpus/shards.py", "--out", unseen, "--shards", 1, "--calls", 280, "--seed", 9000)
        )
        (unseen / "shard-000.jsonl").rename(corpus / "heldout.jsonl")
    if not (work / "last.pt").exists():
        # The tokens of a run that has begun stay what they are.
        wait(run("tokenizer.py", *sorted(corpus.glob("shard-*.jsonl"))[:3]))
    (work / "meeting").unlink(missing_ok=True)
    common = ("--corpus", corpus, "--out", work, "--minutes", arguments.minutes)
    ranks = range(arguments.ranks)
    wait(*(run("train.py", *common, "--ranks", len(ranks), "--rank", rank) for rank in ranks))
    weights = work / "model.safetensors"
    wait(run("export.py", work / "last.pt", work / "nemotron-tiny.gguf", "--safetensors", weights))
    wait(run("parity.py", work / "last.pt", "--dialogues", corpus / "heldout.jsonl"))
    for name in ("nemotron-tiny.gguf", "model.safetensors"):
        shutil.copy(work / name, out / name)


if __name__ == "__main__":
    main()
