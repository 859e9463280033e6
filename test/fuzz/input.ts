// What a target is run with, and its form in files: one step a line, its kind and its bytes, so that people can read and
// change it. Captures and regressions are such files.

/** What happens, in order: `client` and `server` bytes, or what else a target understands. */
export interface Step {
  readonly kind: string;
  readonly bytes: Uint8Array;
}

export type Input = readonly Step[];

const noBytes = new Uint8Array(0);

export function step(kind: string, bytes: Uint8Array | string = noBytes): Step {
  return { kind, bytes: typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes };
}

/** The bytes of all steps of a kind, put together. */
export function bytesOf(input: Input, kind: string): Uint8Array {
  return Buffer.concat(input.filter((one) => one.kind === kind).map(({ bytes }) => bytes));
}

/** Printable ASCII stays, but for the backslash; everything else is written `\xNN`. */
export function formatInput(input: Input): string {
  return input.map(({ kind, bytes }) => `${kind} ${toText(bytes)}`.trimEnd()).join("\n");
}

/** Lines that are empty or begin with `#` are for people. */
export function parseInput(text: string): Input {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, kind = "", escaped = ""] = /^(\S+) ?(.*)$/.exec(line) ?? [];
      return step(kind, toBytes(escaped));
    });
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("latin1")
    .replaceAll(
      /[^\x20-\x5b\x5d-\x7e]| $/g,
      (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
    );
}

function toBytes(text: string): Uint8Array {
  const plain = text.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(plain, "latin1");
}
