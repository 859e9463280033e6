// Counts what code allocates by `new Uint8Array(length)`, so that "never more than what came" can be held against it.

/** Bytes that `action`, which must be synchronous, allocates by length. */
export function allocatedBy(action: () => void): number {
  const plain = globalThis.Uint8Array;
  let bytes = 0;
  globalThis.Uint8Array = new Proxy(plain, {
    construct(target, args, newTarget) {
      bytes += typeof args[0] === "number" ? args[0] : 0;
      return Reflect.construct(
        target,
        args,
        newTarget === globalThis.Uint8Array ? plain : newTarget,
      );
    },
  });
  try {
    action();
  } finally {
    globalThis.Uint8Array = plain;
  }
  return bytes;
}
