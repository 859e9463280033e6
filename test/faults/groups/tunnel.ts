// What peers get who have a valid login and misuse the tunnel. docs/tunnel-protocol.md says what they should have sent.

import { randomBytes } from "node:crypto";
import { frame, hello, mapFrame, openFrame, type TunnelPeer } from "../tunnel-peer.ts";

export interface TunnelFault {
  /** What the peer does; no other row says the same. */
  readonly condition: string;
  readonly act: (peer: TunnelPeer) => void;
  /** What the peer reads before the end: `GOAWAY code: message`, `RESET code: message`. */
  readonly reads: readonly string[];
  /** The WebSocket's close code; 1006 is a connection that was cut. */
  readonly closes: number;
  /** The reason in the journal's `tunnel.closed` record, where it is not what the peer was told. */
  readonly record?: string;
}

export const tunnelFaults: readonly TunnelFault[] = [
  {
    condition: "sends a text message",
    act: (peer) => peer.send("SELECT 1"),
    reads: ["GOAWAY tunnel.protocol: A text message came through the tunnel."],
    closes: 1002,
  },
  {
    condition: "sends random bytes",
    // 0xff is the type of no frame, whatever follows.
    act: (peer) => peer.send(Buffer.concat([Buffer.from([0xff]), randomBytes(4096)])),
    reads: ["GOAWAY tunnel.protocol: Frame type 0xff is unknown."],
    closes: 1002,
  },
  {
    condition: "sends another frame in the place of HELLO",
    act: (peer) => peer.send(openFrame(1, "grt_00000000")),
    reads: ["GOAWAY tunnel.protocol: OPEN came before HELLO."],
    closes: 1002,
  },
  {
    condition: "sends a HELLO that is no JSON",
    act: (peer) => peer.send(frame(0x01, 0, Buffer.from("{nonsense"))),
    reads: ["GOAWAY tunnel.protocol: A HELLO map is not JSON in UTF-8."],
    closes: 1002,
  },
  {
    condition: "speaks a version that there is none of",
    act: (peer) =>
      peer.send(mapFrame(0x01, 0, { version: 0, software: "peer", windowBytes: 65_536 })),
    reads: ["GOAWAY tunnel.protocol: A HELLO map is invalid at: version."],
    closes: 1002,
  },
  {
    condition: "announces a longer frame than the message holds",
    act: (peer) =>
      peer.send(Buffer.concat([hello(), frame(0x12, 1, Buffer.alloc(64)).subarray(0, 20)])),
    reads: ["GOAWAY tunnel.protocol: A DATA frame is longer than its message."],
    closes: 1002,
  },
  {
    condition: "announces a frame over the limit",
    act: (peer) => peer.send(Buffer.concat([hello(), Buffer.from("12ffffff00000001", "hex")])),
    reads: [
      "GOAWAY tunnel.too_large: A DATA payload of 16777215 bytes is over the limit of 262144.",
    ],
    closes: 1009,
  },
  {
    condition: "sends a message over the limit",
    act: (peer) => peer.send(Buffer.alloc(1_048_577)),
    reads: [],
    closes: 1009,
    record: "Max payload size exceeded",
  },
  {
    condition: "sends data on a stream that was never opened",
    act: (peer) => peer.send(Buffer.concat([hello(), frame(0x12, 1, Buffer.alloc(9))])),
    reads: ["GOAWAY tunnel.protocol: Stream 1 was never opened."],
    closes: 1002,
  },
  {
    condition: "opens a stream with an even id",
    act: (peer) => peer.send(Buffer.concat([hello(), openFrame(2, "grt_00000000")])),
    reads: ["GOAWAY tunnel.protocol: An agent's stream has the even id 2."],
    closes: 1002,
  },
  {
    condition: "floods with OPEN",
    act: (peer) => {
      const opens = Array.from({ length: 300 }, (_, index) =>
        openFrame(2 * index + 1, "grt_00000000"),
      );
      peer.send(Buffer.concat([hello(), ...opens]));
    },
    reads: ["GOAWAY tunnel.too_many_streams: The agent opened more than 256 streams."],
    closes: 1013,
  },
  {
    condition: "floods with AUTH",
    act: (peer) => {
      const auth = mapFrame(0x02, 0, { accessToken: "guess", proof: "guess" });
      peer.send(Buffer.concat([hello(), auth, auth]));
    },
    reads: ["GOAWAY login.rate_limited: AUTH came too often."],
    closes: 1013,
  },
  {
    condition: "brings a forged token",
    act: (peer) => {
      const auth = mapFrame(0x02, 0, { accessToken: "guess", proof: "guess" });
      peer.send(Buffer.concat([hello(), auth]));
    },
    reads: [
      "GOAWAY login.proof: The proof of the device's key was refused: its signature cannot be verified.",
    ],
    closes: 4401,
  },
  {
    condition: "falls silent",
    act: (peer) => peer.send(hello()),
    reads: [],
    closes: 1006,
    record: "the agent fell silent",
  },
];
