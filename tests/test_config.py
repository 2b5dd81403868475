"""What a pipeline's TOML may say, and how a mistake in it is told."""

from pathlib import Path

import pytest

from voice_agent.config import load_pipeline, shipped_pipelines
from voice_agent.config_errors import ConfigError

MINE = """
description = "mine"
agent = "agents/bella-notte.toml"

[asr]
engine = "pocketsphinx"
[llm]
engine = "openai-compatible"
base_url = "http://localhost:9999/v1"
temperature = 0.5
[tts]
engine = "espeak"
[sessions]
max = 3
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def the_error(file: Path, overrides: list[str] | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load_pipeline(str(file), overrides or [], environ)
    return str(raised.value)


# What is allowed


@pytest.mark.parametrize("name", shipped_pipelines())
def test_every_shipped_pipeline_is_valid(name):
    """By name, from any folder."""
    pipeline = load_pipeline(name)
    assert pipeline.name == name
    assert pipeline.description
    assert pipeline.agent.is_file()


def test_the_default_pipeline_is_shipped():
    """`voice-agent serve` without a flag takes it."""
    assert "embedded" in shipped_pipelines()


def test_a_pipeline_of_ones_own_may_lie_anywhere(mine):
    """Its name is the file's, and shipped agents are found from it."""
    pipeline = load_pipeline(str(mine))
    assert pipeline.name == "mine"
    assert pipeline.agent.name == "bella-notte.toml"
    assert pipeline.llm.settings.model_dump()["base_url"] == "http://localhost:9999/v1"
    assert pipeline.sessions.max == 3


def test_an_agent_beside_the_pipeline_is_found_first(mine):
    """So that people copy both files and change them."""
    own = mine.parent / "agents" / "bella-notte.toml"
    own.parent.mkdir()
    own.write_text("")
    assert load_pipeline(str(mine)).agent == own


def test_flags_win_over_the_environment_and_that_over_the_file(mine):
    """The nearer to the person, the stronger."""
    environ = {"VOICE_AGENT__LLM__TEMPERATURE": "0.2", "VOICE_AGENT__SESSIONS__MAX": "5"}
    both = load_pipeline(str(mine), ["llm.temperature=0.1"], environ)
    assert both.llm.settings.model_dump()["temperature"] == 0.1
    assert both.sessions.max == 5
    again = load_pipeline(str(mine), ["sessions.max=6", "sessions.max=7"], environ)
    assert again.sessions.max == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("http://localhost:1/v1", "http://localhost:1/v1"),
        ('"http://localhost:1/v1"', "http://localhost:1/v1"),
    ],
)
def test_a_value_is_toml_and_else_a_string(mine, text, value):
    """Addresses need no quotes inside quotes."""
    pipeline = load_pipeline(str(mine), [f"llm.base_url={text}"])
    assert pipeline.llm.settings.model_dump()["base_url"] == value


def test_lists_and_booleans_can_be_set(mine):
    """Whatever TOML can say."""
    ice = 'server.ice_servers=["stun:stun.example:3478"]'
    pipeline = load_pipeline(str(mine), [ice, "greeting=false"])
    assert pipeline.server.ice_servers == ("stun:stun.example:3478",)
    assert pipeline.greeting is False


def test_another_engine_by_flag_does_not_inherit_the_files_settings(mine):
    """base_url and temperature were meant for the engine that is replaced; flags' keys stay."""
    overrides = ["llm.engine=scripted", "llm.script=agents/bella-notte.script.toml"]
    for order in (overrides, overrides[::-1]):
        pipeline = load_pipeline(str(mine), order)
        assert pipeline.llm.engine == "scripted"
        assert "script" in pipeline.llm.settings.model_fields_set


def test_other_variables_of_the_environment_are_not_ours(mine):
    """Only VOICE_AGENT__ with two underscores is."""
    load_pipeline(str(mine), [], {"VOICE_AGENT_HOME": "/x", "PATH": "/bin"})


# What is not

MISTAKES = [
    # what is set, what the message must say
    ("vad.treshold=0.4", ["--set vad.treshold", "did you mean 'threshold'", "start_ms"]),
    ("turns.floor=100", ["turns.floor", "did you mean 'floor_ms'"]),
    ("sesions.max=3", ["sesions", "did you mean 'sessions'", "allowed here: agent, asr"]),
    ("vad.threshold=2", ["vad.threshold", "less than or equal to 1", "not 2"]),
    ("vad.threshold=high", ["vad.threshold", "valid number", "'high'"]),
    ("sessions.max=0", ["sessions.max", "greater than or equal to 1"]),
    ("sessions.max=many", ["sessions.max", "valid integer", "'many'"]),
    ("server.port=70000", ["server.port", "less than or equal to 65535"]),
    ("greeting=perhaps", ["greeting", "valid boolean"]),
    ("vad=3", ["vad"]),
    ("asr=3", ["asr", "dictionary"]),
    ("agent.name=x", ["agent", "is a value, not a section"]),
    ("agent=nobody.toml", ["agent", "no file 'nobody.toml'", "looked at"]),
    (
        "asr.engine=pocketsfinx",
        ["asr.engine", "did you mean 'pocketsphinx'", "should be one of: pocketsphinx"],
    ),
    ("asr.engine=7", ["asr.engine", "should be one of"]),
    ("llm.temprature=0.2", ["llm.temprature", "did you mean 'temperature'", "base_url"]),
    ("llm.temperature=9", ["llm.temperature", "less than or equal to 2"]),
    ("llm.reasoning=maybe", ["llm.reasoning", "'off', 'on' or 'server'"]),
    ("llm.temperature", ["should be key=value"]),
    ("=3", ["should be key=value"]),
    ("llm..x=3", ["should be key=value"]),
]


@pytest.mark.parametrize(("override", "said"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_wrong_flag_is_named_with_what_is_allowed(mine, override, said):
    """The flag as it was typed, the key, and what could stand there."""
    error = the_error(mine, [override])
    assert f"--set {override}" in error
    for part in said:
        assert part in error


def test_a_mistake_in_the_file_names_the_file(mine):
    """Relative where it can be, as a person would type it."""
    mine.write_text(MINE + "\n[vad]\ntreshold = 0.3\n")
    assert f"{mine}: vad.treshold: no such key (did you mean 'threshold'?)" in the_error(mine)


def test_a_mistake_in_the_environment_names_the_variable(mine):
    """Under the name it was exported as."""
    error = the_error(mine, VOICE_AGENT__LLM__TEMPRATURE="1")
    assert error.startswith("VOICE_AGENT__LLM__TEMPRATURE: llm.temprature: no such key")


def test_what_is_missing_is_named(mine):
    """A section, and an engine's name."""
    mine.write_text('agent = "agents/bella-notte.toml"\n[asr]\n[tts]\nengine = "espeak"\n')
    error = the_error(mine)
    assert f"{mine}: llm: missing" in error
    assert f"{mine}: asr.engine: missing; should be one of: pocketsphinx" in error


def test_all_mistakes_are_told_at_once(mine):
    """Nobody mends a file one line at a time."""
    error = the_error(mine, ["vad.treshold=1", "llm.top=3", "tts.engine=festival"])
    assert len(error.splitlines()) == 3


def test_a_file_that_is_no_toml_says_where(mine):
    """With line and column."""
    mine.write_text("agent = \n")
    assert f"{mine}: cannot be read: Invalid value (at line 1" in the_error(mine)


def test_a_file_that_is_not_text_is_no_crash(mine):
    """A WAV by mistake."""
    mine.write_bytes(b"RIFF\xff\xfe\x00")
    assert "cannot be read" in the_error(mine)


def test_a_pipeline_that_is_not_there_names_those_that_are():
    """With the likely one first."""
    with pytest.raises(ConfigError) as raised:
        load_pipeline("embeded")
    assert "did you mean 'embedded'" in str(raised.value)
    assert "openai" in str(raised.value)


# Engines that stand in for others

FALLBACK = ['budget.on_miss=["fallback"]', "llm.fallback.engine=scripted"]


def test_an_engine_that_stands_in_has_a_table_of_its_own(mine):
    """Checked like the one it stands in for, and taken only where it is asked for."""
    pipeline = load_pipeline(str(mine), [*FALLBACK, "llm.fallback.ttft_ms=5"])
    assert pipeline.llm.engine == "openai-compatible"
    assert pipeline.llm_fallback is not None
    assert pipeline.llm_fallback.settings.ttft_ms == 5
    assert pipeline.tts_fallback is None
    unasked = load_pipeline(str(mine), [*FALLBACK, "budget.on_miss=[]"])
    assert unasked.llm_fallback is None


def test_another_engine_keeps_the_one_that_stands_in(mine):
    """What is overridden is the usual one."""
    mine.write_text(mine.read_text() + '[llm.fallback]\nengine = "scripted"\n')
    pipeline = load_pipeline(str(mine), ["llm.engine=scripted", FALLBACK[0]])
    assert pipeline.llm.engine == "scripted"
    assert pipeline.llm_fallback is not None


@pytest.mark.parametrize(
    ("overrides", "key", "message"),
    [
        (FALLBACK[:1], "budget.on_miss", "neither [llm.fallback] nor [tts.fallback]"),
        ([FALLBACK[0], "llm.fallback.engine=scriptd"], "llm.fallback.engine", "'scripted'"),
        ([*FALLBACK, "llm.fallback.ttf=5"], "llm.fallback.ttf", "ttft_ms"),
        ([FALLBACK[0], "llm.fallback.ttft_ms=5"], "llm.fallback.engine", "missing"),
        ([FALLBACK[0], "tts.fallback=espeak"], "tts.fallback", "a table"),
        (["budget.on_miss=['filer']"], "budget.on_miss", "filler"),
        (["budget.target=1"], "budget.target", "less than 1"),
    ],
)
def test_a_mistake_about_them_is_told_with_its_key(mine, overrides, key, message):
    """And with what would be right."""
    error = the_error(mine, overrides)
    assert key in error
    assert message in error
