import { SmallWebRTCTransport } from "@pipecat-ai/small-webrtc-transport";
import { expect, it } from "vitest";
import { CallMedia } from "../src/call/media";
import { CallTransport } from "../src/call/transport";

it("overrides only what the pinned SDK has", () => {
  const stock = SmallWebRTCTransport.prototype as unknown as Record<string, unknown>;
  for (const name of [
    "createPeerConnection",
    "createDataChannel",
    "negotiate",
    "attemptReconnection",
    "buildTransportStartError",
    "stop",
  ]) {
    expect(typeof stock[name], name).toBe("function");
  }
});

it("asks no STUN server and opens no camera", () => {
  const quiet = { lost: () => {}, weak: () => {} };
  const transport = new CallTransport(new CallMedia(null, false), quiet);
  expect(transport.iceServers).toEqual([]);
  expect(transport.isCamEnabled).toBe(false);
  expect(transport.tracks()).toEqual({ local: {} });
});

it("keeps what the SDK reads of a failed negotiation", () => {
  const transport = new CallTransport(new CallMedia(null, false), { lost() {}, weak() {} });
  expect(transport).toHaveProperty("pc", null);
  expect(transport).toHaveProperty("_lastNegotiationError", null);
});
