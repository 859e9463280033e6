// Keeps docs/tunnel-protocol.md equal to the code: types, keys of maps, the state table, errors and limits.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { catalogue, isErrorCode } from "../errors.ts";
import { type FrameType, frameLayouts, type MapType } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import { mapSchemas } from "./maps.ts";
import { type StreamState, streamTransitions } from "./stream-states.ts";

const text = readFileSync(new URL("../../../../docs/tunnel-protocol.md", import.meta.url), "utf8");

/** Cells of the table rows that follow the first line beginning with `opening`, without header and back-ticks. */
function tableAfter(opening: string): string[][] {
  const lines = text.slice(text.indexOf(`\n${opening}`) + 1).split("\n");
  const start = lines.findIndex((line) => line.startsWith("|---"));
  const length = lines.slice(start).findIndex((line) => !line.startsWith("|"));
  return lines.slice(start + 1, start + length).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

it("lists every frame type with its code, its direction and its lengths", () => {
  const rows = tableAfter("## 3.").map(([type, code, scope, sender, , least, most]) => {
    return [type, code, scope, sender, least, most].join(" ");
  });
  const layouts = (Object.keys(frameLayouts) as FrameType[]).map((type) => {
    const { code, scope, sender, minPayloadBytes, maxPayloadBytes } = frameLayouts[type];
    const hex = `0x${code.toString(16).padStart(2, "0")}`;
    return [type, hex, scope, sender, minPayloadBytes, maxPayloadBytes].join(" ");
  });
  expect(rows).toEqual(layouts);
});

it("lists every key of every map", () => {
  for (const type of Object.keys(mapSchemas) as MapType[]) {
    const opening = type === "GOAWAY" ? "**RESET** and **GOAWAY**" : `**${type}**`;
    const keys = tableAfter(opening).map(([key]) => key);
    expect(keys).toEqual(Object.keys(mapSchemas[type].shape));
  }
});

it("has the state table of the code", () => {
  const rows = tableAfter("| State |").map(([state, cells]) => [state, cells]);
  const states = (Object.keys(streamTransitions) as StreamState[]).map((state) => {
    const cells = Object.entries(streamTransitions[state]);
    return [state, cells.map(([input, next]) => `${input} → ${next}`).join("; ")];
  });
  expect(rows).toEqual(states);
});

it("has the codes and close numbers of the catalogue", () => {
  const rows = tableAfter("## 8.").filter(([code]) => code?.startsWith("tunnel."));
  expect(rows).toHaveLength(5);
  for (const [code, , , close] of rows) {
    expect(isErrorCode(code) && catalogue[code].wsClose).toBe(Number(close));
  }
});

it("lists every limit with its value", () => {
  const rows = tableAfter("## 9.").map(([name, value]) => [name, Number(value)]);
  expect(rows).toEqual(Object.entries(tunnelLimits));
});
