// What the names of prepared statements or portals mean: what the server has confirmed, and what it still may.

import { JitdbError } from "@jitdb/shared/errors";

export interface Meanings<Value> {
  /** All that the name may mean when the server comes to it. */
  readonly values: readonly Value[];
  /** Whether it may also mean something that was made with SQL (PREPARE, DECLARE), or nothing. */
  readonly mayBeOther: boolean;
  /** Whether statements ran since it got its meaning: code of the database may have changed that unseen. */
  readonly isOld: boolean;
}

interface Entry<Value> {
  readonly value: Value;
  /** The run of messages up to a Sync that it belongs to. An error skips the rest of its own run alone. */
  readonly run: number;
  /** How many messages that may change names by SQL the client had sent before. */
  readonly asked: number;
  /** How many statements of any kind. */
  readonly ran: number;
  /** How many of them the server had worked through when it confirmed. */
  readonly done: number;
}

/**
 * Both sides work through the same messages in the same order, so that what is pending for a name is confirmed first
 * come, first served. Nothing counts as done because the client asked for it.
 */
export class Names<Value> {
  readonly #what: string;
  readonly #maxNames: number;
  readonly #maxMeanings: number;
  /** Made when needed: most sessions never prepare anything, and an empty map takes 150 bytes. */
  #confirmed: Map<string, Entry<Value>> = none;
  #pending: Map<string, Entry<Value>[]> = none;
  #asked = 0;
  #ran = 0;
  #done = 0;
  /** The server has never converted names: those of equal bytes are equal to it, and no others. */
  #bytesAreNames = true;

  /** @param what for the error's text, in the plural */
  constructor(what: string, limits: { readonly names: number; readonly meanings: number }) {
    this.#what = what;
    this.#maxNames = limits.names;
    this.#maxMeanings = limits.meanings;
  }

  /** Names that something is known or expected of. */
  get size(): number {
    return this.#confirmed.size + this.#pending.size;
  }

  /**
   * The client has asked to give the name this meaning.
   * @throws JitdbError `limit.reached`
   */
  expect(name: string, value: Value, run: number): void {
    if (this.size >= this.#maxNames && !this.#confirmed.has(name)) {
      throw new JitdbError(
        "limit.reached",
        `A session holds at most ${this.#maxNames} ${this.#what}.`,
        { hint: "Close those that are no longer used." },
      );
    }
    const entries = this.#pending.get(name);
    const entry = { value, run, asked: this.#asked, ran: this.#ran, done: this.#done };
    if (entries === undefined) {
      this.#pending = owned(this.#pending).set(name, [entry]);
    } else {
      entries.push(entry);
    }
  }

  /** The server has done the oldest that is pending for the name, or has not (an error, or skipped). */
  settle(name: string, isDone: boolean): void {
    const entries = this.#pending.get(name);
    const entry = entries?.shift();
    if (entries?.length === 0) {
      this.#pending.delete(name);
    }
    if (entry !== undefined && isDone) {
      this.#confirmed = owned(this.#confirmed).set(name, { ...entry, done: this.#done });
    }
  }

  /** The server has closed the name. */
  forget(name: string): void {
    this.#confirmed.delete(name);
  }

  /** The server has closed everything that was confirmed. */
  forgetAll(): void {
    this.#confirmed.clear();
  }

  /**
   * The client sends what may take names away and give them other meanings by SQL (DEALLOCATE and PREPARE, CLOSE and
   * DECLARE).
   */
  doubtAsked(): void {
    this.#asked += 1;
  }

  /** The client sends a statement, which may call code of the database. */
  ranCode(): void {
    this.#ran += 1;
  }

  /** The server converts names before it compares them: from here on nothing is certain of those that are not ASCII. */
  doubtBytes(): void {
    this.#bytesAreNames = false;
  }

  /** The server has worked through such a message, or through a part of it. */
  doubtDone(): void {
    this.#done += 1;
  }

  /** What the server means by the name now; no value: what was made with SQL, or nothing. */
  current(name: string): { readonly value: Value | undefined; readonly isCertain: boolean } {
    const entry = this.#confirmed.get(name);
    const isSame = entry === undefined || entry.done === this.#done;
    return {
      value: entry?.value,
      isCertain: isUnnamed(name) || (isSame && (this.#bytesAreNames || isAscii(name))),
    };
  }

  /**
   * What the server may mean by the name when it comes to a message of this run that the client sends now.
   * @throws JitdbError `limit.reached` when that is too much to record
   */
  possible(name: string, run: number): Meanings<Value> {
    const pending = this.#pending.get(name) ?? [];
    const last = pending.at(-1);
    if (last?.run === run) {
      // Had it failed, the message that asks would be skipped with the rest of the run.
      return this.#meanings(name, [last], false);
    }
    if (pending.length >= this.#maxMeanings) {
      throw new JitdbError(
        "limit.reached",
        `The same name may mean ${pending.length} of the ${this.#what} that the database has not answered for.`,
        { hint: "Wait for answers before the name is used again." },
      );
    }
    const confirmed = this.#confirmed.get(name);
    const entries = confirmed === undefined ? pending : [confirmed, ...pending];
    return this.#meanings(name, entries, confirmed === undefined);
  }

  #meanings(
    name: string,
    entries: readonly Entry<Value>[],
    mayBeNothing: boolean,
  ): Meanings<Value> {
    const values = entries.map(({ value }) => value);
    if (isUnnamed(name)) {
      return { values, mayBeOther: false, isOld: false };
    }
    const isDoubtful = entries.some(({ asked }) => asked !== this.#asked);
    return {
      values,
      // A change of client_encoding may be under way that the server has not told yet.
      mayBeOther: mayBeNothing || isDoubtful || !isAscii(name),
      isOld: entries.some(({ ran }) => ran !== this.#ran),
    };
  }
}

/** Of all sessions that have nothing; nothing is ever put into it. */
const none = new Map<string, never>();

function owned<Value>(map: Map<string, Value>): Map<string, Value> {
  return map === none ? new Map() : map;
}

/** SQL can't name the unnamed one, so that it can't change it. */
function isUnnamed(name: string): boolean {
  return name === "";
}

/** Keys have a character a byte. */
function isAscii(name: string): boolean {
  for (let at = 0; at < name.length; at += 1) {
    if (name.charCodeAt(at) > 0x7f) {
      return false;
    }
  }
  return true;
}
