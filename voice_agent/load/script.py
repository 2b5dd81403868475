"""What callers of the bench say: texts and noises, with the mistakes people make when they talk.

A vertical bar is a pause in the middle of a sentence, where people breathe or think: behind a
word that cannot end one as often as at the end of a phrase.
"""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["complete", "pause", "digits", "one-word", "backchannel", "noise", "barge-in"]
KINDS: tuple[Kind, ...] = get_args(Kind)

OVER_THE_AGENT: tuple[Kind, ...] = ("backchannel", "noise", "barge-in")
"""Played while the agent speaks; the others are played while it listens."""

TEXTS: dict[Kind, tuple[str, ...]] = {
    "complete": (
        "I would like to book a table for four people tomorrow at seven.",
        "What time do you open on Sunday?",
        "Do you have anything for a vegetarian?",
        "Can I bring my dog with me?",
        "Please cancel my reservation.",
        "How much is the lasagna?",
        "My name is Helen Parker.",
        "Could we sit outside if the weather is good?",
        "We are going to be ten minutes late.",
        "Is there parking close to the restaurant?",
        "I need to change my booking to Friday evening.",
        "Which of your wines would you recommend with fish?",
        "There will be two children with us.",
        "Thank you, that is all I wanted to know.",
        "Tell me about your desserts.",
        "Do you take credit cards?",
        "A quiet table by the window would be nice.",
        "I left my umbrella at your place yesterday.",
        "Are you open for lunch on public holidays?",
        "That sounds good to me.",
    ),
    "pause": (
        "I would like a table for | four people on Friday.",
        "Can you tell me | what time the kitchen closes?",
        "We would like to come on | Saturday at half past eight.",
        "I want to change my booking from seven to | nine o'clock.",
        "Is there a table free | for six people tonight?",
        "My friend is allergic to | peanuts and shellfish.",
        "I was wondering whether | you have a private room.",
        "Let me think, maybe the | grilled salmon.",
        "We are coming with two children | and a dog.",
        "The reservation is under the name of | Alexander Murray.",
        "Could you put us | somewhere quiet please?",
        "I booked a table last week and | now I need to cancel it.",
    ),
    "digits": (
        "My number is five five five | two three eight | nine one four seven.",
        "Zero two zero | seven nine four six | zero nine five eight.",
        "It is four one five | six seven two | eight eight three zero.",
        "Six one seven | three four nine | two two five one.",
        "You can reach me at eight zero zero | one two one | four five six six.",
        "The code is seven three nine | one eight four.",
    ),
    "one-word": (
        "Yes.",
        "No.",
        "Seven.",
        "Tomorrow.",
        "Okay.",
        "Two.",
        "Friday.",
        "Sure.",
    ),
    "backchannel": (
        "Uh huh.",
        "Mhm.",
        "Yeah.",
        "Right.",
        "Okay.",
        "I see.",
        "Got it.",
        "Yes.",
    ),
    "barge-in": (
        "No wait, I meant Saturday.",
        "Stop, that is not what I asked.",
        "Actually, can we make it six people?",
        "Sorry, I have another question.",
        "Hold on, what did you say about the price?",
        "That is enough, thank you.",
        "Excuse me, I need a table for tonight.",
        "But we would rather sit inside.",
        "Can you repeat the opening hours?",
        "I want to speak to somebody else please.",
    ),
}

NOISES: tuple[str, ...] = (
    "cough",
    "click",
    "keyboard",
    "knock",
    "throat",
    "breath",
    "door",
    "rustle",
)

SPOKEN: dict[str, str] = {"Mhm.": "um hum."}
"""What a synthesizer must be given that would spell the word."""

PAUSES_MS: tuple[int, ...] = (300, 400, 500, 600, 700, 800, 900)
"""Pauses of ``pause`` utterances, in turn."""

DIGIT_PAUSES_MS: tuple[int, ...] = (300, 400, 500)
"""Pauses between groups of digits, in turn."""
