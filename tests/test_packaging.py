"""What a wheel holds: everything that runs without the checkout, and nothing else."""

import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv: pip install uv")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", folder], cwd=ROOT, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.mark.slow
def test_the_data_is_inside(wheel):
    """Pipelines, agents, models and the page are the checkout's, file by file."""
    names = set(wheel.namelist())
    for folder, inside in (("pipelines", "pipelines"), ("models", "models"), ("web/dist", "web")):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"voice_agent/{inside}/{file.relative_to(ROOT / folder)}" in names


@pytest.mark.slow
def test_nothing_else_is_inside(wheel):
    """No tests, no Node modules, no booking of whoever built it; and it stays small."""
    roots = {name.split("/")[0] for name in wheel.namelist()}
    assert {root.partition("-")[0] for root in roots} == {"voice_agent"}
    assert not [name for name in wheel.namelist() if name.endswith((".sqlite3", ".pyc"))]
    assert sum(info.compress_size for info in wheel.infolist()) < 20_000_000


def test_no_install_address_is_written_down():
    """Versions are pinned by constraints; where they came from is the machine's business."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = pyproject["tool"]["uv"]["constraint-dependencies"]
    assert all("==" in pin and "/" not in pin for pin in pins)
    ignored = (ROOT / ".gitignore").read_text().split()
    assert "uv.lock" in ignored


def test_every_dependency_is_pinned():
    """A fresh clone gets what was tested, not what was published this morning."""
    from packaging.requirements import Requirement

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = {Requirement(p).name for p in pyproject["tool"]["uv"]["constraint-dependencies"]}
    wanted = pyproject["project"]["dependencies"] + pyproject["dependency-groups"]["dev"]
    for extra in pyproject["project"]["optional-dependencies"].values():
        wanted += extra
    assert {Requirement(text).name for text in wanted} <= pinned


def test_the_default_install_has_no_torch_and_no_cuda():
    """It runs on any laptop: nothing that is installed without an extra asks for them."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    found: set[str] = set()
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    left = list(pyproject["project"]["dependencies"])
    while left:
        wanted = Requirement(left.pop())
        extras = wanted.extras or {""}
        marker = wanted.marker
        if wanted.name in found or not (
            marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
        ):
            continue
        found.add(wanted.name)
        try:
            left += requires(wanted.name) or []
        except PackageNotFoundError:
            continue  # another platform's
    assert len(found) > 40
    assert not [name for name in found if name.startswith(("torch", "nvidia", "cuda", "tensorfl"))]
