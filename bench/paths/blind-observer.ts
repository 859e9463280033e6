// The observer of jitdb without records: sees nothing, so that no statement is put on record. Stands in for the real one in a bundle of the bench's own.

import type { Observer as RealObserver } from "../../packages/server/src/engines/postgres/observer/observer.ts";

export class Observer implements Pick<RealObserver, keyof RealObserver> {
  readonly statements = 0;
  readonly encoding = "UTF8";
  readonly isFull = false;

  client(): void {}
  received(): void {}
  forwarded(): void {}
  server(): void {}
  end(): void {}
}
