"""Write the corpus: shards of calls as OpenAI messages, one JSON object a line.

    python models/nemotron-tiny/corpus/shards.py --out /tmp/corpus --shards 8 --calls 2500

The same seed gives the same calls. Each shard is written under another name and renamed, so that
a trainer may read the folder meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

from calls import Kind, call
from noise import HEARD, Recogniser
from phrases import Phrases
from turns import turn_rows
from world import bella_notte

LONGEST = 36
"""Messages in a call; what goes on for longer goes round in circles."""


async def write_shard(
    path: Path, seed: int, calls: int, heard: Path, kinds: dict[Kind, float]
) -> None:
    """Write one shard: ``calls`` calls of these kinds, by their shares, and ends of turns."""
    rng = random.Random(seed)
    phrases, recogniser, bella = Phrases(heard=heard), Recogniser(rng, heard), bella_notte()
    rows: list[dict[str, Any]] = []
    while len(rows) < calls:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        _, messages = await call(rng, phrases, recogniser, bella, kind)
        if len(messages) <= LONGEST:
            rows.append({"messages": messages})
    rows += turn_rows(rng, calls // 14, bella)
    rng.shuffle(rows)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    partial.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--calls", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--short", type=float, default=0.43, help="share of calls with one matter")
    parser.add_argument("--lessons", type=float, default=0.22, help="share of questions only")
    parser.add_argument("--heard", type=Path, default=HEARD)
    options = parser.parse_args()
    whole = 1 - options.short - options.lessons
    kinds: dict[Kind, float] = {"call": whole, "short": options.short, "lesson": options.lessons}
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.shards):
        begun = time.perf_counter()
        path = options.out / f"shard-{number:03d}.jsonl"
        asyncio.run(write_shard(path, options.seed + number, options.calls, options.heard, kinds))
        print(f"{path}: {options.calls / (time.perf_counter() - begun):.0f} calls/s", flush=True)


if __name__ == "__main__":
    main()
