import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { type KeyboardInput, openKeyboard } from "./keyboard.ts";

const never = new AbortController().signal;

function createInput() {
  const events = new EventEmitter();
  const calls: string[] = [];
  const input: KeyboardInput = {
    setRawMode: (isRaw) => calls.push(isRaw ? "raw" : "cooked"),
    resume: () => calls.push("resume"),
    pause: () => calls.push("pause"),
    on: (event, listener) => events.on(event, listener),
    off: (event, listener) => events.off(event, listener),
  };
  const type = (text: string) => events.emit("data", Buffer.from(text));
  return { input, calls, type };
}

function open() {
  const made = createInput();
  let interruptions = 0;
  const keyboard = openKeyboard(made.input, () => {
    interruptions += 1;
  });
  return { ...made, keyboard, interruptions: () => interruptions };
}

describe("a keyboard", () => {
  it.each([
    ["y", "y"],
    ["Y", "y"],
    ["3", "3"],
    ["\r", "enter"],
    ["\n", "enter"],
    ["\u001b", "escape"],
    ["\u0004", "q"],
  ])("tells the key %j as %s", async (typed, key) => {
    const { keyboard, type } = open();
    const next = keyboard.next(never);
    type(typed);
    expect(await next).toBe(key);
  });

  it("takes neither a paste nor an arrow for a key, nor what was typed before it was asked", async () => {
    const { keyboard, type } = open();
    type("y");
    const next = keyboard.next(never);
    for (const text of ["yes", "y\r", "\u001b[A", "é", "constructor"]) {
      type(text);
    }
    type("n");
    expect(await next).toBe("n");
    type("y");
    const another = keyboard.next(never);
    type("d");
    expect(await another).toBe("d");
  });

  it("interrupts at Ctrl-C, whether somebody waits or not", async () => {
    const { keyboard, type, interruptions } = open();
    type("\u0003");
    const next = keyboard.next(never);
    type("y\u0003");
    expect(interruptions()).toBe(2);
    type("y");
    expect(await next).toBe("y");
  });

  it("stops waiting when it is told to, and what comes then is dropped", async () => {
    const { keyboard, type } = open();
    const stop = new AbortController();
    const next = keyboard.next(stop.signal);
    stop.abort(new Error("gone"));
    await expect(next).rejects.toThrow("gone");
    await expect(keyboard.next(stop.signal)).rejects.toThrow("gone");
    type("y");
    const another = keyboard.next(never);
    type("d");
    expect(await another).toBe("d");
  });

  it("gives the terminal back: while it is lent, and when it is closed", async () => {
    const { keyboard, calls } = open();
    expect(calls.splice(0)).toEqual(["raw", "resume"]);
    const lent = keyboard.lend(async () => {
      expect(calls.splice(0)).toEqual(["cooked", "pause"]);
      throw new Error("the question failed");
    });
    await expect(lent).rejects.toThrow("the question failed");
    expect(calls.splice(0)).toEqual(["raw", "resume"]);
    keyboard.close();
    expect(calls).toEqual(["cooked", "pause"]);
  });
});
