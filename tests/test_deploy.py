"""What starts everything on a GPU machine: valid by the schemas of those who read it, and in step
with this project. Nothing of it is started here."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import ComposeSpecification

from voice_agent.cli import _parser
from voice_agent.config import load_pipeline

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def commands() -> dict[str, list[str]]:
    """Return what each program is told, in either file."""
    told = {f"compose {name}": each["command"] for name, each in COMPOSE["services"].items()}
    pod = next(each for each in OBJECTS if each["kind"] == "Deployment")
    for container in pod["spec"]["template"]["spec"]["containers"]:
        told[f"kubernetes {container['name']}"] = container["args"]
    return told


def test_the_compose_file_is_one() -> None:
    """By the Compose Specification; every service is watched, and the agent waits for all."""
    ComposeSpecification.model_validate(COMPOSE)
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"], name
    assert set(COMPOSE["services"]["agent"]["depends_on"]) == {"asr", "tts", "llm"}


@pytest.mark.parametrize("number", range(len(OBJECTS)), ids=[each["kind"] for each in OBJECTS])
def test_the_kubernetes_objects_are_valid(number: int) -> None:
    """By the schemas of a current Kubernetes, strictly: no unknown field."""
    kubernetes_validate.validate(OBJECTS[number], "1.33", strict=True)


def test_images_are_pinned() -> None:
    """No image floats: what was written for one version is run with it."""
    lines = [line.split() for line in DOCKERFILE.splitlines() if line.startswith("FROM ")]
    stages = {line[3] for line in lines}
    images = [line[1] for line in lines if line[1] not in stages]
    images += [service["image"] for service in COMPOSE["services"].values()]
    for image in images:
        tag = image.rpartition(":")[2]
        assert any(letter.isdigit() for letter in tag), image
        assert "latest" not in image


@pytest.mark.parametrize(("name", "command"), commands().items(), ids=list(commands()))
def test_every_program_understands_what_it_is_told(name: str, command: list[str]) -> None:
    """The command lines are those of this version."""
    _parser().parse_args([str(word) for word in command])
    assert shlex.join(command)


def test_the_pipeline_finds_them_where_they_listen() -> None:
    """The addresses of pipelines/nemotron.toml are the ports of these files."""
    pipeline = load_pipeline("nemotron")
    told = {name: " ".join(words) for name, words in commands().items()}
    for stage, program in ((pipeline.asr, "asr"), (pipeline.tts, "tts")):
        port = stage.settings.model_dump()["server"].rpartition(":")[2]
        assert f"--port {port}" in told[f"compose {program}"]
        assert f"--port {port}" in told[f"kubernetes {program}"]
    assert pipeline.llm.settings.model_dump()["base_url"] == "http://127.0.0.1:8000/v1"
    assert pipeline.llm.settings.model_dump()["model"] in told["compose llm"]
    assert f"--calls={pipeline.sessions.max}" in told["compose llm"]
