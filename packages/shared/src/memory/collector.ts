// V8's garbage collector, for programs that know better than it when their garbage is young, or when nobody waits for them.

/** What it needs of Node: functions of `node:v8` and `node:vm`. */
export interface CollectorDoors {
  setFlagsFromString(flags: string): void;
  runInNewContext(code: string): unknown;
}

type Collect = (
  options: { readonly type: "minor" } | { readonly type: "major"; readonly flavor: "last-resort" },
) => void;

/** One for a program. */
export class Collector {
  readonly #doors: CollectorDoors;
  #collect: Collect | undefined;

  constructor(doors: CollectorDoors) {
    this.#doors = doors;
  }

  /** The young generation: half a millisecond. */
  collectYoung(): void {
    this.#find()({ type: "minor" });
  }

  /**
   * The whole heap, and hands back every page that can be spared: two milliseconds and more for each megabyte in use. It forgets what was
   * compiled, too: what runs next is slow for some seconds. The usual way takes half as long, but it keeps the pages for a minute, and those of
   * a grown young generation for as long as the program has little to do.
   */
  collectAll(): void {
    this.#find()({ type: "major", flavor: "last-resort" });
  }

  #find(): Collect {
    this.#collect ??= findCollector(this.#doors);
    return this.#collect;
  }
}

/** V8 shows its collector in contexts that are made while the flag is set. Not before it is needed: most programs end before. */
function findCollector({ setFlagsFromString, runInNewContext }: CollectorDoors): Collect {
  setFlagsFromString("--expose-gc");
  const found = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return typeof found === "function" ? (found as Collect) : () => undefined;
}
