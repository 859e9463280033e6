// Randomness that a seed repeats: every choice of the fuzzing comes from here.

/** Values at which lengths, counts and codes tip over. */
const edges = [
  0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 127, 128, 255, 256, 10_000, 10_001, 32_767, 32_768, 65_535,
  65_536, 262_144, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
] as const;

/** Mulberry32 behind an FNV-1a hash of the seed. Not for secrets. */
export class Dice {
  #state: number;

  constructor(seed: string) {
    this.#state = 0x811c_9dc5;
    for (let at = 0; at < seed.length; at += 1) {
      this.#state = Math.imul(this.#state ^ seed.charCodeAt(at), 0x0100_0193);
    }
  }

  /** 32 random bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return (bits ^ (bits >>> 14)) >>> 0;
  }

  /** 0 up to, and without, `limit`; 0 for a limit below 1. */
  below(limit: number): number {
    return limit < 1 ? 0 : Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  /** Both ends included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True once in so many times. */
  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(choices: readonly [T, ...T[]] | readonly T[]): T {
    const index = this.below(choices.length);
    const chosen = choices[index];
    if (chosen === undefined && index >= choices.length) {
      throw new RangeError("pick from nothing");
    }
    return chosen as T;
  }

  /** An integer at which something may tip over. */
  edge(): number {
    return this.pick(edges);
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }

  /** So many items, each made anew. */
  several<T>(least: number, most: number, make: () => T): T[] {
    return Array.from({ length: this.between(least, most) }, make);
  }
}

/** A seed of bytes, so that what a run chooses beside its input hangs on the input alone. */
export function digest(...parts: readonly Uint8Array[]): string {
  let hash = 0x811c_9dc5;
  for (const part of parts) {
    for (const byte of part) {
      hash = Math.imul(hash ^ byte, 0x0100_0193);
    }
  }
  return String(hash >>> 0);
}
