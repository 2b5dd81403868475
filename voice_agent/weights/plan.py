"""What is to be downloaded: a model's files as its hub lists them, with sizes and checksums."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import aiohttp

from voice_agent.paths import models_dir

__all__ = ["File", "Plan", "Source", "WeightsError", "known", "plan", "source"]

HUB = "https://huggingface.co"
"""Another one: ``HF_ENDPOINT``, as its own tools have it; ``HF_TOKEN`` for models behind a gate."""


class WeightsError(RuntimeError):
    """Weights cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is published."""

    name: str
    """What people call it here; its folder's name."""
    about: str = ""
    repo: str = ""
    """``owner/name`` on the hub."""
    include: Sequence[str] = ("*",)
    """Which of its files; a pattern, or several."""
    revision: str = "main"
    licence: str = ""
    """What is said where the hub says nothing."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """Instead of a hub: name of a file, and where it is."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be downloaded."""

    path: str
    url: str
    size: int | None = None
    sha256: str = ""
    """Empty where nobody publishes it: then what came first is held to be it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All of one model."""

    name: str
    origin: str
    """For a person: ``owner/name at 0123abcd``."""
    licence: str
    page: str
    """Where the licence can be read."""
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes, as far as they are known."""
        return sum(file.size or 0 for file in self.files)


def known() -> dict[str, Source]:
    """Return the models that have a name here."""
    listed = tomllib.loads((models_dir() / "weights.toml").read_text(encoding="utf-8"))
    return {name: Source(name=name, **entry) for name, entry in listed.items()}


def source(name: str) -> Source:
    """Return where ``name`` is published: one of ``known``, or ``owner/name`` of the hub.

    Raises:
        WeightsError: Neither.
    """
    models = known()
    if name in models:
        return models[name]
    owner, slash, repo = name.partition("/")
    if slash and owner and repo and "/" not in repo:
        return Source(name=repo, repo=name)
    raise WeightsError(
        f"no model is called {name!r}; there are: {', '.join(models)}, and any OWNER/NAME of "
        f"{endpoint()}"
    )


def endpoint() -> str:
    """Return the hub's address."""
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def headers() -> dict[str, str]:
    """Return what tells the hub who we are, if somebody said so."""
    token = os.environ.get("HF_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


async def plan(http: aiohttp.ClientSession, wanted: Source) -> Plan:
    """Ask the hub what there is.

    Raises:
        WeightsError: It cannot be reached, has no such model, or wants a licence accepted first.
    """
    if wanted.urls:
        files = tuple(File(path, url) for path, url in wanted.urls.items())
        page = next(iter(wanted.urls.values()))
        return Plan(wanted.name, page.rpartition("/")[0], wanted.licence, page, files)
    hub, page = endpoint(), f"{endpoint()}/{wanted.repo}"
    address = f"{hub}/api/models/{wanted.repo}/revision/{wanted.revision}"
    try:
        async with http.get(address, params={"blobs": "true"}, headers=headers()) as answer:
            if answer.status in (401, 403):
                raise WeightsError(
                    f"{wanted.repo} is behind a gate, or does not exist: accept its licence at "
                    f"{page}, make a token there and set HF_TOKEN"
                )
            if answer.status == 404:
                raise WeightsError(f"{hub} has no {wanted.repo} (revision {wanted.revision})")
            answer.raise_for_status()
            listed = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise unreachable(hub, error) from error
    commit = str(listed.get("sha") or wanted.revision)
    files = tuple(
        _file(f"{page}/resolve/{commit}", entry)
        for entry in listed.get("siblings", [])
        if any(fnmatch(entry["rfilename"], pattern) for pattern in wanted.include)
    )
    if not files:
        raise WeightsError(f"{wanted.repo} has no file like {', '.join(wanted.include)}")
    origin = f"{wanted.repo} at {commit[:12]}"
    return Plan(wanted.name, origin, _licence(listed) or wanted.licence, page, files)


def unreachable(where: str, error: BaseException) -> WeightsError:
    """Return what to say when there is no network, or not enough of it."""
    return WeightsError(
        f"{where} cannot be reached ({str(error) or type(error).__name__}): without a network, "
        "bring the files from a machine that has one, in the same folder"
    )


def _file(base: str, entry: Mapping[str, Any]) -> File:
    path = str(entry["rfilename"])
    if path.startswith("/") or ".." in Path(path).parts:
        raise WeightsError(f"the hub lists a file {path!r}, which would lie outside its folder")
    large = entry.get("lfs") or {}
    return File(path, f"{base}/{path}", entry.get("size"), str(large.get("sha256") or ""))


def _licence(listed: Mapping[str, Any]) -> str:
    card = listed.get("cardData") or {}
    names = [card.get("license_name"), card.get("license"), card.get("license_link")]
    said = [str(name) for name in names if name and name != "other"]
    return ", ".join(dict.fromkeys(said))
