import { describe, expect, it } from "vitest";
import { EMPTY, join, type SpokenEvent, step } from "../src/call/transcript";

const after = (...events: SpokenEvent[]) => events.reduce(step, EMPTY).lines;
const spoken = (...events: SpokenEvent[]) => after(...events).map((l) => `${l.role}: ${l.text}`);

describe("what the caller says", () => {
  it("replaces a partial until the turn is decided, then starts a new line", () => {
    const lines = after(
      { kind: "user-words", text: "what", final: false },
      { kind: "user-words", text: "what time", final: false },
      { kind: "user-words", text: "what time do you open", final: true },
      { kind: "user-turn", turn: 1, text: "What time do you open?" },
      { kind: "user-words", text: "and", final: false },
    );
    expect(lines.map((l) => [l.text, l.final])).toEqual([
      ["What time do you open?", true],
      ["and", false],
    ]);
  });

  it("grows again after a final transcript when the turn goes on", () => {
    const lines = after(
      { kind: "user-words", text: "a table", final: true },
      { kind: "user-words", text: "a table for four", final: false },
    );
    expect(lines.map((l) => [l.text, l.final])).toEqual([["a table for four", false]]);
  });

  it("forgets a sound that turned out to be no words", () => {
    expect(
      after(
        { kind: "user-words", text: "uh", final: false },
        { kind: "user-words", text: "", final: true },
      ),
    ).toEqual([]);
  });

  it("shows a typed line once, though the server repeats it as a turn", () => {
    expect(
      spoken(
        { kind: "typed", text: "Are you open?" },
        { kind: "user-words", text: "are you open?", final: true },
        { kind: "user-turn", turn: 1, text: "Are you open?" },
      ),
    ).toEqual(["user: Are you open?"]);
  });

  it("still knows a typed line that waited for a connection", () => {
    expect(
      spoken(
        { kind: "typed", text: "Hello" },
        { kind: "ended" },
        { kind: "user-turn", turn: 1, text: "Hello" },
      ),
    ).toEqual(["user: Hello"]);
  });
});

describe("what the agent says", () => {
  it("grows word by word and ends as what was heard", () => {
    const lines = after(
      { kind: "agent-words", text: "We" },
      { kind: "agent-words", text: "open" },
      { kind: "agent-words", text: "at" },
      { kind: "agent-turn", turn: 1, text: "We open", interrupted: true },
    );
    expect(lines).toMatchObject([{ text: "We open", final: true, interrupted: true }]);
  });

  it("leaves nothing of an answer of which nothing was heard", () => {
    expect(
      after(
        { kind: "agent-words", text: "We" },
        { kind: "agent-turn", turn: 1, text: "", interrupted: true },
      ),
    ).toEqual([]);
  });

  it("goes on in its own line when somebody says mm-hm meanwhile", () => {
    expect(
      spoken(
        { kind: "agent-words", text: "On Sundays" },
        { kind: "user-words", text: "mm-hm", final: false },
        { kind: "agent-words", text: "at noon." },
      ),
    ).toEqual(["agent: On Sundays at noon.", "user: mm-hm"]);
  });

  it("settles a final line of the caller even if no turn is announced", () => {
    expect(
      spoken(
        { kind: "user-words", text: "hello", final: true },
        { kind: "agent-words", text: "Hi!" },
        { kind: "user-words", text: "bye", final: false },
      ),
    ).toEqual(["user: hello", "agent: Hi!", "user: bye"]);
  });

  it("joins words with or without their own space", () => {
    expect(["At", "noon", ",", " or", "later", "."].reduce(join, "")).toBe("At noon, or later.");
  });
});

describe("what the server takes back", () => {
  it("reopens the caller's line when the turn had not ended after all", () => {
    const lines = after(
      { kind: "user-words", text: "a table for", final: true },
      { kind: "user-turn", turn: 1, text: "A table for" },
      { kind: "user-words", text: "a table for four people", final: false },
      { kind: "user-turn", turn: 1, text: "A table for four people" },
    );
    expect(lines.map((l) => [l.text, l.final])).toEqual([["A table for four people", true]]);
  });

  it("keeps a second utterance apart when the first was never answered", () => {
    expect(
      spoken(
        { kind: "user-turn", turn: 1, text: "Are you open?" },
        { kind: "user-words", text: "hello", final: false },
      ),
    ).toEqual(["user: Are you open?", "user: hello"]);
  });

  it("corrects the words of a turn it has already told", () => {
    expect(
      spoken(
        { kind: "user-turn", turn: 1, text: "A cable for two" },
        { kind: "agent-words", text: "Yes" },
        { kind: "user-turn", turn: 1, text: "A table for two" },
      ),
    ).toEqual(["user: A table for two", "agent: Yes"]);
  });

  it("goes on with an answer that a noise had stopped", () => {
    const lines = after(
      { kind: "agent-words", text: "We open" },
      { kind: "user-words", text: "uh", final: false },
      { kind: "agent-turn", turn: 1, text: "We open", interrupted: true },
      { kind: "agent-words", text: "at noon." },
      { kind: "agent-turn", turn: 1, text: "We open at noon.", interrupted: false },
    );
    expect(lines).toMatchObject([{ text: "We open at noon.", interrupted: false, final: true }]);
  });
});

it("lets nothing open when the call has ended", () => {
  const lines = after(
    { kind: "user-words", text: "my name is", final: false },
    { kind: "agent-words", text: "Yes" },
    { kind: "ended" },
  );
  expect(lines.every((line) => line.final)).toBe(true);
});

it("does not take a new connection's first turn for that of the old one", () => {
  expect(
    spoken(
      { kind: "user-turn", turn: 1, text: "Hello" },
      { kind: "agent-turn", turn: 1, text: "Hi", interrupted: false },
      { kind: "ended" },
      { kind: "user-turn", turn: 1, text: "Still there?" },
    ),
  ).toEqual(["user: Hello", "agent: Hi", "user: Still there?"]);
});
