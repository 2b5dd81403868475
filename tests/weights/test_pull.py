"""Weights are downloaded once, whole, and from where they say, or somebody is told why not."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.weights.hub import Hub, hub
from voice_agent.cli import main
from voice_agent.engines import EngineContext
from voice_agent.weights.plan import WeightsError, known, plan, source
from voice_agent.weights.pull import check, pull

LARGE = random.Random(1).randbytes(3_000_000)
FILES = {"model.nemo": LARGE, "config/small.json": b"{}", "README.md": b"# A card"}


@pytest.fixture
async def there(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    async with hub(dict(FILES)) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made


async def pulled(folder: Path, name: str = "acme/tiny") -> list[tuple[str, int, int | None]]:
    """Pull it, and return the progress that was told."""
    told: list[tuple[str, int, int | None]] = []
    async with aiohttp.ClientSession(trust_env=True) as http:
        planned = await plan(http, source(name))
        await pull(http, planned, folder, lambda *news: told.append(news), pause_s=0.0)
    return told


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["models", *arguments])


async def test_a_model_is_pulled_and_checked_by_command(
    there: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it is from, its licence, its size and its progress are shown; then it can be found."""
    assert await command("pull", "acme/tiny") == 0
    folder = tmp_path / "models" / "tiny"
    for path, data in FILES.items():
        assert (folder / path).read_bytes() == data
    out, err = capsys.readouterr()
    assert "acme/tiny at 0123456789ab, 3 files, 3 MB" in out
    assert f"licence: open-model-licence ({there.url}/acme/tiny)" in out
    assert "model.nemo: 3.0 of 3.0 MB, 100 %" in err
    assert await command("check") == 0
    assert "tiny: as it was downloaded" in capsys.readouterr().out
    assert EngineContext([tmp_path / "models"]).find("tiny/model.nemo").is_file()


async def test_what_is_there_is_not_pulled_again(there: Hub, tmp_path: Path) -> None:
    """Only what is missing, or was changed, is asked for."""
    await pulled(tmp_path)
    assert len(there.ranges) == 3
    await pulled(tmp_path)
    assert len(there.ranges) == 3
    (tmp_path / "model.nemo").write_bytes(LARGE[:-1] + b"x")
    await pulled(tmp_path)
    assert len(there.ranges) == 4
    assert (tmp_path / "model.nemo").read_bytes() == LARGE


async def test_what_broke_off_is_taken_up(there: Hub, tmp_path: Path) -> None:
    """In the same call when the connection breaks, and in a later one after the machine did."""
    there.break_after = 1_000_000
    told = await pulled(tmp_path)
    assert there.ranges[1].startswith("bytes=")
    assert (tmp_path / "model.nemo").read_bytes() == LARGE
    assert told[-1][0] in FILES
    (tmp_path / "model.nemo").unlink()
    (tmp_path / "model.nemo.part").write_bytes(LARGE[:2_000_000])
    await pulled(tmp_path)
    assert there.ranges[-1] == "bytes=2000000-"
    assert (tmp_path / "model.nemo").read_bytes() == LARGE
    assert check(tmp_path) == []


async def test_bytes_that_are_not_what_the_hub_lists_are_thrown_away(
    there: Hub, tmp_path: Path
) -> None:
    """Nothing wrong is left behind under the model's name."""
    there.lies = True
    with pytest.raises(WeightsError, match=r"model\.nemo is not what its hub says.*pull it again"):
        await pulled(tmp_path)
    assert not (tmp_path / "model.nemo").exists()
    assert not (tmp_path / "model.nemo.part").exists()


async def test_check_finds_what_changed(
    there: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flipped bit, a missing file, a folder that nobody pulled."""
    await command("pull", "acme/tiny")
    folder = tmp_path / "models" / "tiny"
    (folder / "model.nemo").write_bytes(LARGE[:-1] + b"x")
    (folder / "README.md").unlink()
    (tmp_path / "models" / "own").mkdir()
    assert await command("check") == 1
    out = capsys.readouterr().out
    assert "model.nemo is not what was downloaded" in out
    assert "README.md is missing" in out
    assert "own was not pulled" in out
    assert await command("check", "nothing") == 1


async def test_a_model_behind_a_gate_says_what_to_do(
    there: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And opens with a token."""
    there.gated = True
    with pytest.raises(WeightsError, match="HF_TOKEN"):
        await pulled(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "sesame")
    await pulled(tmp_path)
    assert check(tmp_path) == []


async def test_a_model_that_is_not_there_is_said(there: Hub, tmp_path: Path) -> None:
    """With the names there are, when the name is none of them."""
    with pytest.raises(WeightsError, match="has no acme/huge"):
        await pulled(tmp_path, "acme/huge")
    with pytest.raises(WeightsError, match=r"no model is called 'magpy'.*magpie"):
        await pulled(tmp_path, "magpy")


@pytest.mark.parametrize("name", list(known()))
async def test_without_a_network_every_name_is_a_clear_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing hangs, and what to do is said."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for proxy in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="cannot be reached"):
        await pulled(tmp_path, name)


async def test_a_hub_that_would_write_elsewhere_is_not_believed(there: Hub, tmp_path: Path) -> None:
    """A listed path stays within the model's folder."""
    there.files["../../.profile"] = b"boo"
    with pytest.raises(WeightsError, match="outside its folder"):
        await pulled(tmp_path)


async def test_the_manifest_says_where_it_is_from(there: Hub, tmp_path: Path) -> None:
    """Commit, licence and checksums, for whoever looks at the folder later."""
    await pulled(tmp_path)
    manifest = json.loads((tmp_path / "pulled.json").read_text())
    assert manifest["origin"] == "acme/tiny at 0123456789ab"
    assert manifest["licence"] == "open-model-licence"
    assert manifest["files"]["model.nemo"]["size"] == len(LARGE)
