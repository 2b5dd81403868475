/** The stages between two voices: their order, names for people, and colours (`--c0` to `--c6`). */

const STAGES: Record<string, readonly [label: string, colour: number]> = {
  endpoint: ["end of turn", 0],
  asr_final: ["transcript", 1],
  llm_first_token: ["first token", 2],
  llm_first_clause: ["first clause", 3],
  tts_first_audio: ["first speech", 4],
  tool: ["tool", 5],
  playout: ["start of playing", 6],
  transport: ["to your ear", 6],
};

/** The whole way from the user's voice to the agent's; has a budget like a stage. */
export const TOTAL = "voice_to_voice";

const ORDER = [...Object.keys(STAGES), TOTAL];

/** A stage's name for people; unknown ones are shown as they are. */
export const stageLabel = (stage: string): string =>
  stage === TOTAL ? "voice to voice" : (STAGES[stage]?.[0] ?? stage.replace(/[_-]+/g, " "));

/** The number of a stage's colour, the same wherever it is drawn. */
export const stageColour = (stage: string): number => STAGES[stage]?.[1] ?? 6;

/** Sorts stages as they follow each other; unknown ones last but before the total. */
export function byOrder(a: string, b: string): number {
  const rank = (stage: string) => {
    const known = ORDER.indexOf(stage);
    return known < 0 ? ORDER.length - 1.5 : known;
  };
  return rank(a) - rank(b) || a.localeCompare(b);
}
