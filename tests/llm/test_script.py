"""The language of scripts, and what Bella Notte's script makes of what people say."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import voice_agent
from voice_agent.agents.agent import load_agent
from voice_agent.llm.script import Call, Say, Script
from voice_agent.llm.scripted import load_script

AGENTS = Path(voice_agent.__file__).parent.parent / "pipelines" / "agents"


@pytest.fixture(scope="module")
def host() -> Script:
    return load_script(AGENTS / "bella-notte.script.toml")


def converse(script: Script, *turns: str | dict[str, Any]) -> Say | Call:
    """Hold a conversation: a text is said by the user, a dict is what the tool returned."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are a host."}]
    reply: Say | Call = Say("")
    for turn in turns:
        if isinstance(turn, dict):
            assert isinstance(reply, Call), f"no tool was called before {turn}: {reply}"
            function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
            call = {"id": f"call{len(messages)}", "type": "function", "function": function}
            result = {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(turn)}
            messages += [{"role": "assistant", "tool_calls": [call]}, result]
        else:
            messages.append({"role": "user", "content": turn})
        reply = script.reply(messages)
        if isinstance(reply, Say):
            messages.append({"role": "assistant", "content": reply.text})
    return reply


def book(party_size: str, date: str, time: str, **more: str) -> Call:
    return Call("book_table", {"party_size": party_size, "date": date, "time": time, **more})


BOOKED = {"booked": True, "say": "I have booked it."}
FREE = {"available": True, "say": "Yes. Shall I book it?"}
FULL = {"available": False, "say": "We are full. Nine o'clock would be free."}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Book a table for four people tomorrow at seven.", book("four", "tomorrow", "seven")),
        ("a table for for people tomorrow at seven", book("four", "tomorrow", "seven")),
        ("at table for four people to morrow at seven", book("four", "to morrow", "seven")),
        ("um book uh a table for two tonight at ate", book("two", "tonight", "eight")),
        ("table for to tonight at half past seven", book("two", "tonight", "half past seven")),
        (
            "i need a table for five next friday at seven thirty pm",
            book("five", "next friday", "seven thirty pm"),
        ),
        ("a table at seven for four tomorrow", book("four", "tomorrow", "seven")),
        ("four people tomorrow at seven", book("four", "tomorrow", "seven")),
        (
            "reserve a table for six on the third of may at eight o'clock",
            book("six", "the third of may", "eight oclock"),
        ),
        (
            "book a table for seven at eight on friday under the name Miller please",
            book("seven", "friday", "eight", name="miller"),
        ),
        (
            "Could I book a table for 2 on 2026-05-20 at 19:30?",
            book("2", "2026-05-20", "19:30"),
        ),
    ],
)
def test_a_booking_in_one_sentence(host: Script, said: str, expected: Call) -> None:
    """People, day and time in any order, misheard or typed, call the tool at once."""
    assert converse(host, said) == expected


@pytest.mark.parametrize(
    "turns",
    [
        ["I'd like to book a table", "four people", "tomorrow at seven"],
        ["i want to reserve a table", "four", "tomorrow", "seven"],
        ["a table please", "for four", "tomorrow", "at seven"],
        ["can i book a table for tomorrow", "four at seven"],
        ["book a table for four", "what are your opening hours", "tomorrow at seven"],
        ["book a table for four", "blah", "tomorrow at seven"],
        ["book a table for six at seven", "no wait four people tomorrow"],
        ["hello", "do you have a table for four tomorrow at seven", FREE, "yes please"],
        ["is there a table for four tomorrow at nine", FULL, "at seven", FREE, "book it"],
        ["book a table for four tomorrow at five", {"error": "Closed.", "field": "time"}, "seven"],
        ["table for four monday at seven", {"error": "Closed.", "field": "date"}, "then tomorrow"],
        ["are you open tomorrow", {"say": "Yes."}, "can we come at seven tomorrow", "four people"],
        ["book for two today at six", BOOKED, "another table for four", "tomorrow", "seven"],
    ],
)
def test_a_booking_over_several_turns(host: Script, turns: list[Any]) -> None:
    """What was said before is remembered, asked for once, and corrected by what comes later."""
    assert converse(host, *turns) == book("four", "tomorrow", "seven")


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (["i'd like to book a table"], "With pleasure. For how many people, and when?"),
        (["book a table", "four people"], "When would you like to come?"),
        (["book a table for four", "tomorrow"], "And at what time?"),
        (["book a table for four tomorrow at seven", BOOKED], "I have booked it. We look forward"),
        (["book a table for two", "never mind", "four people"], "When would"),
        (["do you have a table for two tonight at eight", FREE, "no thanks"], "No problem"),
        (["what time do you open", "sorry"], "We are open every evening"),
        (["how much is the lasagna"], "The lasagna is thirteen euros."),
        (["how much is the fish"], "The grilled sea bass is twenty one euros."),
        (["how much is the elephant"], "Starters are from six euros"),
        (["do you have tiramisu"], "Yes, we have tiramisu, for six euros fifty."),
        (["do you have anything vegetarian"], "Yes, there is the mushroom risotto"),
        (["what's on the menu"], "Our guests love"),
        (["where are you"], "We are at twelve Garden Street"),
        (["is there parking"], "There is a car park"),
        (["are you a robot"], "I am the automatic host"),
        (["thank you very much"], "You are welcome"),
        (["thanks bye bye"], "Thank you for calling. Goodbye!"),
        (["hello"], "Good evening"),
        (["xyz"], "Sorry, I did not catch that."),
        (["xyz", "zyx"], "I am not sure I understood."),
        (
            ["book a table for two", "xyz"],
            "I am not sure I understood. Could you rephrase that? When",
        ),
    ],
)
def test_what_it_says(host: Script, turns: list[Any], expected: str) -> None:
    """Questions, asides and everything it does not understand have an answer."""
    reply = converse(host, *turns)
    assert isinstance(reply, Say)
    assert expected in reply.text


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (["what time do you open on sunday"], Call("opening_hours", {"date": "sunday"})),
        (
            ["open on friday", {"say": "Yes."}, "and sunday"],
            Call("opening_hours", {"date": "sunday"}),
        ),
        (["are you open today"], Call("opening_hours", {"date": "today"})),
        (["please cancel my reservation"], Call("cancel_booking", {})),
        (["cancel the booking for friday"], Call("cancel_booking", {"date": "friday"})),
        (
            ["cancel my booking", {"error": "Which name?", "field": "name"}, "anna smith"],
            Call("cancel_booking", {"name": "anna smith"}),
        ),
        (
            ["book for two tonight at eight", BOOKED, "make it eight thirty"],
            Call("change_booking", {"new_time": "eight thirty"}),
        ),
        (["move my reservation to nine"], Call("change_booking", {"new_time": "nine"})),
        (
            ["change my booking", "to five people"],
            Call("change_booking", {"new_party_size": "five"}),
        ),
        (
            ["do you have a table for two tonight at eight"],
            Call("check_availability", {"party_size": "two", "date": "tonight", "time": "eight"}),
        ),
    ],
)
def test_other_tools(host: Script, turns: list[Any], expected: Call) -> None:
    """Hours of a day, cancelling, changing and looking for a table call their tools."""
    assert converse(host, *turns) == expected


def test_a_result_that_is_not_json_is_still_answered(host: Script) -> None:
    """Pipecat's own messages about a tool that failed are plain text."""
    messages = [
        {"role": "user", "content": "cancel my booking"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "function": {"name": "cancel_booking", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "not available"},
    ]
    assert host.reply(messages) == Say("I am sorry, that did not work.")


def test_the_script_and_the_agent_agree(host: Script) -> None:
    """Every dish has its price in the script, and every tool it calls exists."""
    agent = load_agent(AGENTS / "bella-notte.toml")
    dishes = {dish.name.lower() for dish in agent.menu}
    assert set(host.facts["price"]) == dishes == set(host.slots["dish"].values)
    names = {tool.name for tool in agent.tool_set().tools()}
    assert {intent.tool for intent in host.intents if intent.tool} <= names


def test_the_language_in_small() -> None:
    """Macros, slots, facts, turns: the example a reader can copy."""
    script = Script.model_validate(
        tomllib.loads(
            """
            fillers = ["um+"]
            fallback = ["What?", "Pardon?"]
            [macros]
            colour = "red|green"
            [slots.colour]
            match = ["(<colour>) one"]
            bare = ["<colour>"]
            ask = "Which colour?"
            [facts.price]
            red = "one euro"
            [[intents]]
            name = "price"
            match = ["how much"]
            answers = ["I do not know.", "{colour} is {price of colour}."]
            [[intents]]
            name = "buy"
            match = ["^buy"]
            tool = "sell"
            needs = ["colour"]
            """
        )
    )
    assert converse(script, "how much is the red one?") == Say("red is one euro.")
    assert converse(script, "How much is the green one") == Say("I do not know.")
    assert converse(script, "buy um it") == Say("Which colour?")
    assert converse(script, "buy it", "green") == Call("sell", {"colour": "green"})
    assert converse(script, "eh") == Say("What?")
    assert converse(script, "eh", "eh") == Say("Pardon?")
