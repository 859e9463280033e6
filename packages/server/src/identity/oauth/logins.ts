// The end of a login: what logging out, and a refresh token in the wrong hands, lead to.

import type { DeviceId, PersonId } from "@jitdb/shared/ids";
import type { Trail } from "../../audit/trail.ts";
import type { Bus } from "../../bus.ts";
import type { Store } from "../../store/store.ts";

export interface LoginEnd {
  readonly kind: "login.logged_out" | "login.reuse_detected";
  readonly address: string;
}

export interface LoginsOptions {
  readonly store: Store;
  readonly trail: Trail;
  readonly bus: Bus;
}

/** A login is one approval of one device: the OAuth grant with all tokens that ever came of it. */
export class Logins {
  readonly #store: Store;
  readonly #trail: Trail;
  readonly #bus: Bus;

  constructor({ store, trail, bus }: LoginsOptions) {
    this.#store = store;
    this.#trail = trail;
    this.#bus = bus;
  }

  /** Takes all of its tokens away at once. A login that has ended before stays as it is. */
  async end(grantId: string, { kind, address }: LoginEnd): Promise<void> {
    const device = await this.#store.transaction(async (tx) => {
      const artifacts = await tx
        .deleteFrom("oauth_artifacts")
        .where("grant_id", "=", grantId)
        .returning(["model", "uid"])
        .execute();
      const login = artifacts.find((artifact) => artifact.model === "Grant");
      const token = artifacts.find(
        (artifact) => artifact.model === "RefreshToken" || artifact.model === "AccessToken",
      );
      if (login === undefined || token === undefined) {
        return undefined;
      }
      const person = await tx
        .selectFrom("people")
        .select("name")
        .where("id", "=", login.uid as PersonId)
        .executeTakeFirst();
      const owner = token.uid as DeviceId;
      await this.#trail.stage(tx, { kind, person: person?.name, device: owner, address });
      return owner;
    });
    if (device !== undefined) {
      await this.#trail.drain();
      this.#bus.emit({ type: "device", id: device });
    }
  }
}
