import { userInfo } from "node:os";
import { describe, expect, it } from "vitest";
import { browserCommand, checkPrivate, deviceLabel, isWindows } from "./platform.ts";

describe("browserCommand", () => {
  const url = "https://jitdb.example.com/device?a=1&b=2";
  it("passes the address as one argument, to no shell", () => {
    const open = (platform: NodeJS.Platform) => browserCommand(url, { display: true, platform });
    expect(open("linux")).toEqual(["xdg-open", [url]]);
    expect(open("darwin")).toEqual(["open", [url]]);
    expect(open("win32")).toEqual(["rundll32", ["url.dll,FileProtocolHandler", url]]);
  });
  it("opens nothing on a Linux without a display", () => {
    expect(browserCommand(url, { display: false, platform: "linux" })).toBe(undefined);
  });
  it.each(["file:///etc/passwd", "javascript:1", "-x", "vscode://x"])("opens no %s", (hostile) => {
    expect(browserCommand(hostile, { display: true, platform: "darwin" })).toBe(undefined);
  });
});

describe("deviceLabel", () => {
  it("names host and system", () => {
    expect(deviceLabel("alice-laptop", "linux")).toBe("alice-laptop (linux)");
    expect(deviceLabel("Alices-Mac.local", "darwin")).toBe("Alices-Mac (macOS)");
    expect(deviceLabel("", "win32")).toBe("unnamed (Windows)");
  });
});

describe.skipIf(isWindows)("checkPrivate", () => {
  const { uid } = userInfo();
  it("takes what is the user's alone", () => {
    expect(() => checkPrivate("/x", { mode: 0o100600, uid }, 0o600)).not.toThrow();
  });
  it.each([0o640, 0o604, 0o620, 0o601])("refuses mode %o", (mode) => {
    expect(() => checkPrivate("/x", { mode, uid }, 0o600)).toThrow("is open to other users");
  });
  it("refuses what belongs to another user", () => {
    expect(() => checkPrivate("/x", { mode: 0o600, uid: uid + 1 }, 0o600)).toThrow(
      "/x belongs to another user.",
    );
  });
});
