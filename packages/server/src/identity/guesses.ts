// How often somebody may guess. In memory: a restart forgets it, and guessing across restarts gains nothing worth having.

import { isIPv6 } from "node:net";
import type { Clock } from "@jitdb/shared/ids";

export interface GuessLimits {
  readonly windowMs: number;
  /** Guesses from one address (IPv6: one /64 network) in a window. */
  readonly perAddress: number;
  /** Guesses at one target, such as a person's name, in a window. */
  readonly perTarget: number;
  /** Guesses by everybody in a window; also bounds the memory that this takes. */
  readonly overall: number;
  /** Called when a limit stops the first guess of a window, not for those after it. `by` says which limit. */
  readonly onLock: (by: "address" | "target" | "overall", address: string, target?: string) => void;
}

/**
 * Counts guesses in windows of fixed length. A guess is counted before it is judged and given back when it was right,
 * so that many at once are no way past the limit.
 */
export class Guesses {
  readonly #clock: Clock;
  readonly #limits: GuessLimits;
  readonly #counts = new Map<string, number>();
  readonly #locked = new Set<string>();
  #overall = 0;
  #windowEndsAt = 0;

  constructor(clock: Clock, limits: GuessLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Counts one guess. False: too many were made, and this one is not to be judged. */
  take(address: string, target?: string): boolean {
    this.#turnWindow();
    const { perAddress, perTarget, overall } = this.#limits;
    const [addressKey, targetKey] = keysOf(address, target);
    if (this.#overall >= overall) {
      this.#lock("overall", "overall", address, target);
      return false;
    }
    if (this.#count(addressKey) >= perAddress) {
      this.#lock(addressKey, "address", address, target);
      return false;
    }
    if (targetKey !== undefined && this.#count(targetKey) >= perTarget) {
      this.#lock(targetKey, "target", address, target);
      return false;
    }
    this.#add(1, addressKey, targetKey);
    return true;
  }

  /** The guess was right. */
  giveBack(address: string, target?: string): void {
    this.#add(-1, ...keysOf(address, target));
  }

  /** Milliseconds until the next window. */
  get waitMs(): number {
    return Math.max(0, this.#windowEndsAt - this.#clock.now());
  }

  #turnWindow(): void {
    const now = this.#clock.now();
    if (now >= this.#windowEndsAt) {
      this.#counts.clear();
      this.#locked.clear();
      this.#overall = 0;
      this.#windowEndsAt = now + this.#limits.windowMs;
    }
  }

  #lock(key: string, ...lock: Parameters<GuessLimits["onLock"]>): void {
    if (!this.#locked.has(key)) {
      this.#locked.add(key);
      this.#limits.onLock(...lock);
    }
  }

  #count(key: string | undefined): number {
    return key === undefined ? 0 : (this.#counts.get(key) ?? 0);
  }

  #add(step: 1 | -1, ...keys: (string | undefined)[]): void {
    this.#overall = Math.max(0, this.#overall + step);
    for (const key of keys) {
      const count = this.#count(key) + step;
      if (key !== undefined && count > 0) {
        this.#counts.set(key, count);
      } else if (key !== undefined) {
        this.#counts.delete(key);
      }
    }
  }
}

function keysOf(address: string, target: string | undefined): [string, string | undefined] {
  return [`address ${networkOf(address)}`, target === undefined ? undefined : `target ${target}`];
}

/** SECURITY: who has one IPv6 address has 2^64 of them; they count as one. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) {
    return mapped ?? address;
  }
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? [] : tail.split(":");
    groups.push(
      ...Array<string>(Math.max(0, 8 - groups.length - after.length)).fill("0"),
      ...after,
    );
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}
