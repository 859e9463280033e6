// The OS keychain (Keychain, Secret Service, Credential Manager) through a helper process with a deadline.

import { fileURLToPath } from "node:url";
import { JitdbError } from "@jitdb/shared/errors";
import * as z from "zod";
import { parseJson } from "../api-error.ts";

/** Limits of the keychain. */
export const keychainLimits = {
  /** A keychain that answers at all answers within 50 ms; one that asks for a password first counts as absent. */
  deadlineMs: 1500,
  /** Windows refuses larger items. */
  maxItemBytes: 2560,
} as const;

const service = "jitdb";
const answer = z.union([
  z.object({ value: z.string().nullable() }),
  z.object({ error: z.string() }),
]);

type Order =
  | { readonly verb: "get" | "delete"; readonly account: string }
  | { readonly verb: "set"; readonly account: string; readonly value: string };

/** Named values in the keychain. Every method throws JitdbError `local.storage` where there is no keychain that answers. */
export class Keychain {
  readonly #helper: string;

  /** `helper` is the helper's path; tests give one that hangs. */
  constructor(helper: string = helperPath()) {
    this.#helper = helper;
  }

  async get(account: string): Promise<string | undefined> {
    return (await this.#ask({ verb: "get", account })) ?? undefined;
  }

  async set(account: string, value: string): Promise<void> {
    if (Buffer.byteLength(value) > keychainLimits.maxItemBytes) {
      throw unusable("the login is too large for it");
    }
    await this.#ask({ verb: "set", account, value });
  }

  async delete(account: string): Promise<void> {
    await this.#ask({ verb: "delete", account });
  }

  async #ask(order: Order): Promise<string | null> {
    const { execa } = await import("execa");
    const { stdout, timedOut } = await execa({
      node: true,
      input: JSON.stringify({ service, ...order }),
      stderr: "ignore",
      timeout: keychainLimits.deadlineMs,
      killSignal: "SIGKILL",
      reject: false,
    })`${this.#helper}`;
    if (timedOut) {
      throw unusable(`it did not answer within ${keychainLimits.deadlineMs / 1000} s`);
    }
    const { data } = answer.safeParse(parseJson(stdout));
    if (data === undefined) {
      throw unusable("this system has none");
    }
    if ("error" in data) {
      throw unusable(data.error);
    }
    return data.value;
  }
}

function unusable(reason: string): JitdbError {
  return new JitdbError("local.storage", `The keychain can't be used: ${reason}.`, {
    hint: "Unlock it, or keep logins in a file: JITDB_KEYCHAIN=off jitdb login.",
  });
}

/** Among the sources one folder up; in the bundle, where this code lies in a chunk, beside it. */
function helperPath(): string {
  const isSource = import.meta.url.endsWith(".ts");
  const path = isSource ? "../keychain-helper.ts" : "./keychain-helper.js";
  return fileURLToPath(new URL(path, import.meta.url));
}
