// What @openai/agents-realtime makes of a server, unmodified: node agents.mjs ws://host/v1/realtime SPOKEN.raw
// Asks for the weather (a tool of its own), has a story told, speaks over it. Prints one JSON line.
import { readFileSync } from "node:fs";
import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

const [url, spoken] = process.argv.slice(2);
const cities = [];
const weather = tool({
  name: "get_weather",
  description: "Tells the temperature in a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    cities.push(city);
    return JSON.stringify({ temperature: 31 });
  },
});
const agent = new RealtimeAgent({ name: "host", instructions: "You know the weather.", tools: [weather] });
const session = new RealtimeSession(agent, { transport: "websocket", model: "gpt-realtime" });
const errors = [];
let audioBytes = 0;
let interruptions = 0;
session.on("error", (error) => errors.push(error));
session.on("audio", (event) => (audioBytes += event.data.byteLength));
session.on("audio_interrupted", () => interruptions++);

const heard = [];
const waiting = [];
session.transport.on("*", (event) => {
  heard.push(event);
  for (const wait of [...waiting]) if (wait.fits(event)) wait.resolve(event);
});
function next(fits) {
  return new Promise((resolve) => waiting.push({ fits, resolve }));
}
const responseOf = (event) => event.type === "response.done" && event.response;
const said = (item) => item.content.map((part) => part.transcript ?? part.text ?? "").join("");
const history = (role) => session.history.filter((item) => item.role === role).map(said);

await session.connect({ apiKey: "sk-test", url });

const answered = next((event) => responseOf(event)?.output?.[0]?.type === "message");
session.sendMessage("What is the weather in rome?");
await answered;
const afterTool = { cities: [...cities], said: history("assistant").at(-1), audioBytes };

const begun = next((event) => event.type === "response.output_audio_transcript.delta" && event.delta.includes("king"));
session.sendMessage("Tell me a story");
await begun;
const cut = next((event) => responseOf(event)?.status === "cancelled");
const truncated = next((event) => event.type === "conversation.item.truncated");
const retrieved = next((event) => event.type === "conversation.item.retrieved" && event.item.role === "assistant");
const repeated = next((event) => responseOf(event)?.status === "completed" && interruptions > 0);
const pcm = readFileSync(spoken);
const packet = 24000 * 2 * 0.02;
const silence = new Uint8Array(packet);
const start = performance.now();
let sent = 0;
const microphone = setInterval(() => {
  while (sent * 20 <= performance.now() - start) {
    const from = sent++ * packet;
    const chunk = from < pcm.length ? new Uint8Array(packet) : silence;
    if (from < pcm.length) chunk.set(pcm.subarray(from, Math.min(from + packet, pcm.length)));
    session.sendAudio(chunk.buffer);
  }
}, 10);
const cutResponse = (await cut).response;
const cutAt = (await truncated).audio_end_ms;
const story = said((await retrieved).item);
const repetition = (await repeated).response.output[0].content[0].transcript;
clearInterval(microphone);
session.close();

console.log(
  JSON.stringify({
    afterTool,
    cut: cutResponse.status_details,
    cutAt,
    story,
    repetition,
    interruptions,
    user: history("user"),
    errors: errors.map((error) => JSON.stringify(error)),
    tracing: heard.filter((event) => event.type === "session.updated").at(-1).session.tracing,
  }),
);
