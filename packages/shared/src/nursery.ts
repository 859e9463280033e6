// Fresh memory that nobody needs any more as soon as it is read: Node takes some for each read of a socket that it accepted, and has no way
// to be given other. V8 counts those bytes against the whole heap, and collects all of it once for every ten megabytes, although only the
// young ones are garbage. Knows nothing of sockets.

/** What it needs of Node: functions of `node:v8` and `node:vm`. */
export interface CollectorDoors {
  setFlagsFromString(flags: string): void;
  runInNewContext(code: string): unknown;
}

type Collect = (options: { readonly type: "minor" }) => void;

/** Collecting the young ones of them takes half a millisecond; with more of them V8 comes first. */
const bytesPerCollection = 4 * 1024 * 1024;

/** One for a program. */
export class Nursery {
  readonly #doors: CollectorDoors;
  #collect: Collect | undefined;
  #freshBytes = 0;

  constructor(doors: CollectorDoors) {
    this.#doors = doors;
  }

  /** So many bytes came in fresh memory. */
  filled(byteCount: number): void {
    this.#freshBytes += byteCount;
    if (this.#freshBytes >= bytesPerCollection) {
      this.#freshBytes = 0;
      this.#collect ??= findCollector(this.#doors);
      this.#collect({ type: "minor" });
    }
  }
}

/** V8 shows its collector in contexts that are made while the flag is set. Not before it is needed: most programs never read as much. */
function findCollector({ setFlagsFromString, runInNewContext }: CollectorDoors): Collect {
  setFlagsFromString("--expose-gc");
  const found = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return typeof found === "function" ? (found as Collect) : () => undefined;
}
