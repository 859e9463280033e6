import { afterEach, describe, expect, it, vi } from "vitest";
import { createFakeContext } from "./fakes.ts";
import { Terminal } from "./terminal.ts";

describe("Terminal", () => {
  it("lets only line ends, tabs and colours through, whatever a caller forgot (invariant 24)", () => {
    const { context, written } = createFakeContext({ terminal: true });
    context.terminal.out(
      "a\u001b[31mb\u001b[39m\t\n\u001b]52;c;x\u0007\u001b[2J\u009b31m\u0007[1m",
    );
    expect(written.stdout).toBe(
      "a\u001b[31mb\u001b[39m\t\n\ufffd]52;c;x\ufffd\ufffd[2J\ufffd31m\ufffd[1m\n",
    );
  });

  it("indents JSON for people and writes one line for programs", () => {
    const people = createFakeContext({ terminal: true });
    people.context.terminal.json({ a: 1 });
    expect(people.written.stdout).toBe('{\n  "a": 1\n}\n');
    const program = createFakeContext({});
    program.context.terminal.json({ a: 1 });
    expect(program.written.stdout).toBe('{"a":1}\n');
  });

  it("says the text of a spinner once where stderr is no terminal", async () => {
    const { context, written } = createFakeContext({});
    const spinner = await context.terminal.spinner("Waiting.");
    spinner.update("Still waiting.");
    spinner.stop();
    expect(written.stderr).toBe("Waiting.\n");
  });

  it("draws in any width without cutting what names a row", () => {
    const { context, written } = createFakeContext({ terminal: true, columns: 20 });
    const columns = [
      { heading: "ID", show: (row: readonly string[]) => row[0] ?? "" },
      { heading: "REASON", show: (row: readonly string[]) => row[1] ?? "" },
    ];
    context.terminal.table(columns, [["req_7k2m9x4q", "注文4711が止まった"]]);
    expect(written.stdout).toBe("ID            REASON\nreq_7k2m9x4q  注文471…\n");
  });
});

describe("a table that is too wide", () => {
  const columns = [
    { heading: "ID", show: () => "req_7k2m9x4q" },
    { heading: "PROFILE", show: () => "read-write", spare: true },
    { heading: "PROBLEM", show: () => "" },
    { heading: "DEVICE", show: () => "alice-laptop", spare: true },
    { heading: "REASON", show: () => "order 4711 is stuck" },
  ];
  it.each([
    [60, "req_7k2m9x4q  read-write  alice-laptop  order 4711 is stuck"],
    [46, "req_7k2m9x4q  read-wri…  alice-la…  order 471…"],
    [41, "req_7k2m9x4q  read-write  order 4711 is …"],
    [30, "req_7k2m9x4q  order 4711 is s…"],
    [10, "req_7k2m9x4q  order 4…"],
  ])("leaves out empty columns, and spare ones where narrowing is not enough: %i", (width, row) => {
    const { context, written } = createFakeContext({ terminal: true, columns: width });
    context.terminal.table(columns, [0]);
    expect(written.stdout.split("\n")[1]).toBe(row);
  });
});

describe("Terminal.ofProcess with JITDB_FORCE_TTY", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("writes as to a terminal of that width, asks nobody and turns nothing", async () => {
    let written = "";
    const record = (text: string | Uint8Array) => {
      written += String(text);
      return true;
    };
    vi.spyOn(process.stdout, "write").mockImplementation(record);
    vi.spyOn(process.stderr, "write").mockImplementation(record);
    const terminal = Terminal.ofProcess({ color: true, forcedColumns: 20 });
    expect([terminal.interactive, terminal.columns]).toEqual([false, 20]);
    const columns = [
      { heading: "ID", show: () => "req_1" },
      { heading: "REASON", show: () => "order 4711 is stuck" },
    ];
    terminal.table(columns, [0]);
    const spinner = await terminal.spinner("Waiting.");
    spinner.update("Still waiting.");
    spinner.stop();
    expect(written).toBe("\u001b[1mID     REASON\u001b[22m\nreq_1  order 4711 i…\nWaiting.\n");
  });
});
