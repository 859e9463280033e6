// oidc-provider's way to the store (its Adapter interface), and the place where it is told about codes and tokens
// that exist but may not be used now: what this file does not find, the provider refuses.

import type { Clock } from "@jitdb/shared/ids";
import { type Adapter, type AdapterPayload, errors } from "oidc-provider";
import type { UsedProofs } from "../proof.ts";
import type { Artifact, Artifacts } from "./artifacts.ts";
import { currentCall } from "./calls.ts";
import type { Logins } from "./logins.ts";
import type { PollingPace } from "./polling.ts";
import { judgeUse } from "./rotation.ts";

export interface AdapterOptions {
  readonly artifacts: Artifacts;
  readonly logins: Logins;
  readonly pace: PollingPace;
  readonly usedProofs: UsedProofs;
  readonly clock: Clock;
}

/** What the provider calls for each of its models. */
export function createAdapterFactory(options: AdapterOptions): (model: string) => Adapter {
  return (model) =>
    model === "ReplayDetection"
      ? new ProofAdapter(options.usedProofs)
      : new ArtifactAdapter(model, options);
}

class ArtifactAdapter implements Adapter {
  readonly #model: string;
  readonly #options: AdapterOptions;

  constructor(model: string, options: AdapterOptions) {
    this.#model = model;
    this.#options = options;
  }

  async upsert(value: string, payload: AdapterPayload, lifetimeSeconds = 0): Promise<void> {
    await this.#options.artifacts.save(this.#model, value, { ...payload }, lifetimeSeconds * 1000);
  }

  async find(value: string): Promise<AdapterPayload | undefined> {
    const artifact = await this.#options.artifacts.find(this.#model, value);
    if (artifact === undefined) {
      return undefined;
    }
    const { call, endpoint } = currentCall();
    if (endpoint === "token" && this.#model === "DeviceCode") {
      this.#checkPace(value, artifact);
    }
    if (endpoint === "token" && this.#model === "RefreshToken") {
      return await this.#admitRefresh(value, artifact, call.device ?? "", call.address);
    }
    return toPayload(value, artifact);
  }

  /** Whoever comes second with a device code has lost; a refresh token was judged when it was found. */
  async consume(value: string): Promise<void> {
    const first = await this.#options.artifacts.consume(this.#model, value);
    if (!first && this.#model === "DeviceCode") {
      throw new errors.InvalidGrant("device code already consumed");
    }
  }

  /** A token that is taken back takes its login with it, so that logging out with either kind ends both. */
  async destroy(value: string): Promise<void> {
    const artifact = await this.#options.artifacts.find(this.#model, value);
    const grantId = this.#model === "Grant" ? value : artifact?.payload.grantId;
    await this.revokeByGrantId(grantId);
  }

  async revokeByGrantId(grantId: string | undefined): Promise<void> {
    // A device code that nobody has approved has no login yet.
    if (grantId === undefined) {
      return;
    }
    const { call, endpoint } = currentCall();
    const kind = endpoint === "revocation" ? "login.logged_out" : "login.reuse_detected";
    await this.#options.logins.end(grantId, { kind, address: call.address });
  }

  /** The pages look codes up by themselves, and the provider's browser sessions are not in use. */
  async findByUserCode(): Promise<undefined> {}
  async findByUid(): Promise<undefined> {}

  #checkPace(value: string, { expiresAt }: Artifact): void {
    if (!this.#options.pace.accept(value, expiresAt)) {
      throw new errors.SlowDown();
    }
  }

  async #admitRefresh(
    value: string,
    artifact: Artifact,
    device: string,
    address: string,
  ): Promise<AdapterPayload | undefined> {
    const { artifacts, logins, clock } = this.#options;
    const use = await judgeUse(artifact, device, artifacts, clock.now());
    if (use === "stolen") {
      const { grantId = "" } = artifact.payload;
      await logins.end(grantId, { kind: "login.reuse_detected", address });
      return undefined;
    }
    return toPayload(value, { ...artifact, consumedAt: null });
  }
}

/** Keeps the ids of proofs in the table of all used proofs, where two at once can't both be the first. */
class ProofAdapter implements Adapter {
  readonly #usedProofs: UsedProofs;

  constructor(usedProofs: UsedProofs) {
    this.#usedProofs = usedProofs;
  }

  async upsert(value: string, _payload: unknown, lifetimeSeconds = 0): Promise<void> {
    if (!(await this.#usedProofs.claim("token endpoint", value, lifetimeSeconds * 1000))) {
      throw new errors.InvalidGrant("DPoP proof JWT Replay detected");
    }
  }

  async find(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
  async findByUid(): Promise<undefined> {}
  async consume(): Promise<void> {}
  async destroy(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
}

function toPayload(value: string, { payload, consumedAt }: Artifact): AdapterPayload {
  const consumed = consumedAt === null ? undefined : Math.floor(consumedAt / 1000);
  return { ...(payload as AdapterPayload), jti: value, ...(consumed && { consumed }) };
}
