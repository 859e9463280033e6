// What V8 compiled for statements and sessions is worth keeping while nobody asks for them: people think for half a minute between two queries.

/** What it needs of Node: a function of `node:v8`, and `process.versions.v8`. */
export interface CompiledCodeDoors {
  setFlagsFromString(flags: string): void;
  readonly v8Version: string;
}

const flags = [
  // At rest V8 collects, and lets go of every shape (map) that no object has just then. Where no session is open that is most of them, and the
  // code that was compiled for them goes, too.
  "--no-memory-reducer-favors-memory",
  // Shapes last so many collections without an object; V8's own two are over in a minute. A shape takes some hundred bytes.
  "--retain-maps-for-n-gc=64",
];

/** The first that knows the flags, with Node 24. An older one would say on stderr that it does not. */
const firstMajorVersion = 13;

/** For a program that runs on; to be called before it does its work. */
export function keepCompiledCode({ setFlagsFromString, v8Version }: CompiledCodeDoors): void {
  if (Number.parseInt(v8Version, 10) >= firstMajorVersion) {
    for (const flag of flags) {
      setFlagsFromString(flag);
    }
  }
}
