// What the openai package makes of a server, unmodified: node openai.mjs https://host/v1
// Its WebSocket client insists on TLS; the server's certificate is its own. Prints one JSON line.
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const client = new OpenAI({ apiKey: "sk-test", baseURL: process.argv[2] });
const rt = new OpenAIRealtimeWS(
  { model: "gpt-realtime", options: { rejectUnauthorized: false } },
  client,
);
const errors = [];
const kinds = new Set();
let text = "";
rt.on("error", (error) => errors.push({ code: error.error?.code, param: error.error?.param, event: error.error?.event_id }));
rt.on("event", (event) => kinds.add(event.type));
rt.on("response.output_text.delta", (event) => (text += event.delta));
const once = (kind) => new Promise((resolve) => rt.once(kind, resolve));

const created = await once("session.created");
const updated = once("session.updated");
rt.send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
await updated;
rt.send({ type: "session.update", event_id: "bad", session: { type: "realtime", voice: "alloy" } });
const done = once("response.done");
rt.send({
  type: "conversation.item.create",
  item: { type: "message", role: "user", content: [{ type: "input_text", text: "Tell me a story" }] },
});
rt.send({ type: "response.create" });
const { response } = await done;
rt.close();
console.log(JSON.stringify({ model: created.session.model, status: response.status, text, errors, kinds: [...kinds] }));
