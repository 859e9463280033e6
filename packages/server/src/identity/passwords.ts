// Password hashes: argon2id (RFC 9106) as a PHC string, so that each hash says with which parameters it was made.

import { type Argon2Parameters, argon2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { JitdbError } from "@jitdb/shared/errors";
import type { Random } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";

const derive = promisify(argon2);

/** What a password and its hash may be. */
export const passwordLimits = {
  minBytes: 12,
  maxBytes: 1024,
  /** Hashes that run at once: each takes 64 MiB and one of the process's four worker threads. */
  atOnce: 2,
} as const;

/** RFC 9106 §4, the second recommended option, with one lane. */
const cost = { memory: 65_536, passes: 3, parallelism: 1 } as const;
const saltBytes = 16;
const tagBytes = 32;

const phc =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** A valid hash of no password: what an unknown person's attempt is measured against. */
const nobodys = encode(cost, new Uint8Array(saltBytes), new Uint8Array(tagBytes));

/**
 * Refuses a password that is too short to resist guessing or too long to be meant.
 * @throws JitdbError `usage.invalid`
 */
export function checkPassword(password: Secret): void {
  const bytes = Buffer.byteLength(password.reveal());
  if (bytes < passwordLimits.minBytes) {
    throw new JitdbError(
      "usage.invalid",
      `A password needs at least ${passwordLimits.minBytes} characters.`,
      {
        hint: "Four or five words that do not belong together are easy to keep and hard to guess.",
      },
    );
  }
  if (bytes > passwordLimits.maxBytes) {
    throw new JitdbError(
      "usage.invalid",
      `A password may have at most ${passwordLimits.maxBytes} bytes.`,
      { hint: "Choose a shorter one." },
    );
  }
}

/** Hashes and compares passwords off the main thread, a few at a time. */
export class Passwords {
  readonly #random: Random;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A PHC string. @throws JitdbError `usage.invalid` for a password of the wrong length. */
  async hash(password: Secret): Promise<string> {
    checkPassword(password);
    const salt = this.#random.bytes(saltBytes);
    return encode(cost, salt, await this.#derive(password, { ...cost, salt, tagBytes }));
  }

  /** Whether `password` gives `hash`. Without a hash: false, after the same work. */
  async verify(password: Secret, hash: string | null): Promise<boolean> {
    // SECURITY: an unknown name, an account without a password and an overlong password take as long as a wrong
    // password, so that the time of the answer does not say who exists.
    const { parameters, tag } = decode(hash ?? nobodys);
    const derived = await this.#derive(password, parameters);
    return timingSafeEqual(derived, tag) && hash !== null;
  }

  async #derive(password: Secret, parameters: Parameters): Promise<Uint8Array> {
    if (this.#running >= passwordLimits.atOnce) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running += 1;
    }
    try {
      return await derive("argon2id", {
        message: Buffer.from(password.reveal()).subarray(0, passwordLimits.maxBytes + 1),
        nonce: parameters.salt,
        memory: parameters.memory,
        passes: parameters.passes,
        parallelism: parameters.parallelism,
        tagLength: parameters.tagBytes,
      } satisfies Argon2Parameters);
    } finally {
      // The place passes to who waits longest, so that `#running` never dips and overshoots.
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#running -= 1;
      } else {
        next();
      }
    }
  }
}

interface Cost {
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

interface Parameters extends Cost {
  readonly salt: Uint8Array;
  readonly tagBytes: number;
}

/** The PHC string of a hash. */
export function encode(
  { memory, passes, parallelism }: Cost,
  salt: Uint8Array,
  tag: Uint8Array,
): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(tag)}`;
}

function decode(hash: string): { parameters: Parameters; tag: Uint8Array } {
  const match = phc.exec(hash);
  if (match === null) {
    throw new JitdbError("store.damaged", "A password hash in the store cannot be read.");
  }
  const [, memory, passes, parallelism, salt = "", encodedTag = ""] = match;
  const tag = Buffer.from(encodedTag, "base64");
  return {
    parameters: {
      memory: Number(memory),
      passes: Number(passes),
      parallelism: Number(parallelism),
      salt: Buffer.from(salt, "base64"),
      tagBytes: tag.length,
    },
    tag,
  };
}

/** PHC strings carry base64 without padding. */
function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replaceAll("=", "");
}
