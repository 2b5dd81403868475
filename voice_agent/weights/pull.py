"""Downloading weights: with progress, taken up where it broke off, and checked before it counts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from voice_agent.weights.plan import File, Plan, WeightsError, headers, unreachable

__all__ = ["Told", "check", "pull"]

MANIFEST = "pulled.json"
"""In a model's folder: what it was downloaded from, and the checksum of every file."""
_PART = ".part"
_CHUNK = 1 << 20
_TRIES = 5
_PAUSE_S = 1.0

Told = Callable[[str, int, int | None], object]
"""Gets a file's name, the bytes that are there, and those there should be, if known."""


async def pull(
    http: aiohttp.ClientSession,
    wanted: Plan,
    folder: Path,
    told: Told,
    *,
    pause_s: float = _PAUSE_S,
) -> None:
    """Download what is missing of ``wanted`` into ``folder``; what is there already stays.

    Args:
        http: A session.
        wanted: The files.
        folder: The model's own; made if need be.
        told: Told of progress.
        pause_s: Between attempts at a connection that breaks.

    Raises:
        WeightsError: No network, no room, or a file that is not what its hub says it is.
    """
    manifest = _manifest(folder)
    manifest |= {"origin": wanted.origin, "licence": wanted.licence, "page": wanted.page}
    files: dict[str, Any] = manifest.setdefault("files", {})
    missing = [file for file in wanted.files if not await _is_there(folder, file, files)]
    room = _room(folder)
    needed = sum(file.size or 0 for file in missing)
    if needed > room:
        raise WeightsError(
            f"{needed / 1e9:.1f} GB are needed in {folder}, and {room / 1e9:.1f} GB are free"
        )
    for file in missing:
        sha256 = await _download(http, folder, file, told, pause_s)
        files[file.path] = {"sha256": sha256, "size": (folder / file.path).stat().st_size}
        partly = folder / (MANIFEST + _PART)
        partly.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        partly.replace(folder / MANIFEST)


def check(folder: Path) -> list[str]:
    """Return what is wrong with a downloaded model, file by file; nothing is good.

    Blocks: every file is read.

    Raises:
        WeightsError: It was not downloaded here.
    """
    files = _manifest(folder).get("files")
    if not files:
        raise WeightsError(f"{folder} was not pulled: it has no {MANIFEST}")
    wrong = []
    for path, noted in files.items():
        file = folder / path
        if not file.is_file():
            wrong.append(f"{path} is missing")
        elif file.stat().st_size != noted["size"]:
            wrong.append(f"{path} has {file.stat().st_size} bytes, not {noted['size']}")
        elif _sha256(file) != noted["sha256"]:
            wrong.append(f"{path} is not what was downloaded (SHA-256)")
    return wrong


async def _is_there(folder: Path, file: File, noted: dict[str, Any]) -> bool:
    path = folder / file.path
    known = noted.get(file.path)
    if not path.is_file() or not known or path.stat().st_size != known["size"]:
        return False
    if file.sha256 and file.sha256 != known["sha256"]:
        return False  # the hub has another one by now
    sha256 = await asyncio.to_thread(_sha256, path)
    return sha256 == str(known["sha256"])


async def _download(
    http: aiohttp.ClientSession, folder: Path, file: File, told: Told, pause_s: float
) -> str:
    """Download one file and return its SHA-256."""
    target = folder / file.path
    part = target.with_name(target.name + _PART)
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, _TRIES + 1):
        before = _size(part)
        try:
            await _fetch(http, file, part, told)
            break
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if attempt == _TRIES or _size(part) == before:
                raise unreachable(file.url, error) from error
            await asyncio.sleep(pause_s)
    size = part.stat().st_size
    if file.size is not None and size != file.size:
        raise WeightsError(f"{file.path}: {size} bytes came, not {file.size}; pull it again")
    sha256 = await asyncio.to_thread(_sha256, part)
    if file.sha256 and sha256 != file.sha256:
        part.unlink()
        raise WeightsError(
            f"{file.path} is not what its hub says it is (SHA-256 {sha256[:12]}..., not "
            f"{file.sha256[:12]}...): it was thrown away; pull it again"
        )
    part.replace(target)
    return sha256


async def _fetch(http: aiohttp.ClientSession, file: File, part: Path, told: Told) -> None:
    """Add to ``part`` what is missing of it."""
    have = _size(part)
    if file.size is not None and have >= file.size:
        if have == file.size:
            return
        have = 0  # more than there is: from the beginning
    asked = headers() | ({"Range": f"bytes={have}-"} if have else {})
    async with http.get(file.url, headers=asked) as answer:
        if answer.status in (401, 403):
            raise WeightsError(f"{file.url} wants a token (HF_TOKEN) or a licence accepted first")
        if answer.status == 404:
            raise WeightsError(f"{file.url} is not there (any more)")
        if answer.status == 416:  # nothing is missing
            return
        answer.raise_for_status()
        if answer.status != 206:
            have = 0
        total = file.size or (have + answer.content_length if answer.content_length else None)
        shown = 0.0
        with part.open("ab" if have else "wb") as sink:
            async for chunk in answer.content.iter_chunked(_CHUNK):
                sink.write(chunk)
                have += len(chunk)
                if time.monotonic() - shown > 0.2:
                    shown = time.monotonic()
                    told(file.path, have, total)
        told(file.path, have, total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _room(folder: Path) -> int:
    """Make the folder if need be, and return how many bytes are free there."""
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
