// Access as the rest of the server uses it: asking, deciding, ending, and what of it a caller may see.

import type {
  DatabaseView,
  GrantView,
  RequestBackground,
  RequestView,
} from "@jitdb/shared/api/access";
import type { RequestPreview } from "@jitdb/shared/api/previews";
import type { GrantDetail } from "@jitdb/shared/api/traces";
import { JitdbError } from "@jitdb/shared/errors";
import type { RequestId } from "@jitdb/shared/ids";
import type { EventOf } from "../audit/record.ts";
import type { Config } from "../config/config.ts";
import type { Caller } from "../identity/caller.ts";
import { backgroundOf } from "./background/background.ts";
import { readsRecords } from "./background/records.ts";
import { type AccessPorts, type Change, makeChange } from "./change.ts";
import { describeGrant } from "./grants/detail.ts";
import { type EndedGrant, endDueGrants, release, revoke } from "./grants/end.ts";
import { askForMore, type ExtensionAsk } from "./grants/extend.ts";
import { signReview } from "./grants/reviews.ts";
import { type Signature, signTraces } from "./grants/traces.ts";
import { type GrantQuery, getGrant, listGrants } from "./grants/views.ts";
import type { Page } from "./paging.ts";
import { Policies } from "./policy.ts";
import { previewRequest } from "./previews/preview.ts";
import { type Ask, ask, policyTarget } from "./requests/ask.ts";
import { type Approval, approve, deny, withdraw } from "./requests/decide.ts";
import { lapseDueRequests } from "./requests/lapse.ts";
import { getRequest, listRequests, type RequestQuery } from "./requests/views.ts";
import { standingOf } from "./standing.ts";

/** What a sweep has changed. */
export interface Swept {
  readonly lapsed: readonly RequestId[];
  readonly ended: readonly EndedGrant[];
}

type Refusal = Omit<EventOf<"request.refused">, "kind" | "code" | "reason">;

/**
 * Every method that changes something is one transaction, whose records reach the journal before it returns, and
 * leaves a record of a refusal, too. The codes that each throws stand where it is done: requests/ask.ts,
 * requests/decide.ts, grants/end.ts.
 */
export class AccessService {
  /** With the rules that are in force. Replaced as a whole: a change that is under way ends by those that it began with. */
  #ports: AccessPorts;
  #policies: Policies;
  /** Also those that nobody can ask for any more: grants run on them. */
  readonly #databases: Config["databases"];

  constructor(ports: AccessPorts) {
    this.#ports = ports;
    this.#policies = new Policies(ports.config.policies);
    this.#databases = ports.config.databases;
  }

  /**
   * Puts other rules in force for all that is asked, approved and extended from now on. Requests that wait keep their
   * stages, grants their end.
   */
  useRules(config: AccessPorts["config"]): void {
    this.#policies = new Policies(config.policies);
    this.#ports = { ...this.#ports, config };
  }

  /** The databases that the caller may ask for, by name, each with the profiles that are open to them. */
  async databasesFor(caller: Caller): Promise<DatabaseView[]> {
    const { groups, service } = await standingOf(this.#ports.store.db, caller);
    const asker = { person: caller.name, groups, service };
    return [...this.#ports.config.databases.values()]
      .flatMap((database) => {
        const allowed = this.#policies.profilesFor(asker, policyTarget(database));
        const profiles = allowed.map(({ profile, policy }) => ({
          name: profile,
          description: database.profiles.get(profile)?.description ?? "",
          maxDurationSeconds: Math.floor(policy.maxDurationMs / 1000),
          ...(policy.defaultDurationMs !== undefined && {
            defaultDurationSeconds: Math.floor(policy.defaultDurationMs / 1000),
          }),
          approval:
            policy.approval.kind === "automatic" ? ("automatic" as const) : ("required" as const),
          leavesTraces: [...this.#ports.waysToLeaveTraces(database.name, profile)],
        }));
        const { name, engine, labels } = database;
        return profiles.length === 0 ? [] : [{ name, engine, labels: { ...labels }, profiles }];
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Asks for access. The answer's state says whether it was granted at once. */
  async request(caller: Caller, input: Ask): Promise<RequestView> {
    const id = await this.#change(caller, refusalOf(input), (change) =>
      ask(this.#ports, this.#policies, change, caller, input),
    );
    return await this.getRequest(caller, id);
  }

  /**
   * What would come of asking. SECURITY: a refusal is on record as the request's own would be, or names of databases could
   * be tried out without a trace.
   */
  async preview(caller: Caller, input: Ask): Promise<RequestPreview> {
    return await this.#recorded(caller, { ...refusalOf(input), dryRun: true }, () =>
      previewRequest(this.#ports, this.#policies, caller, input),
    );
  }

  async approve(caller: Caller, id: string, approval: Approval): Promise<RequestView> {
    await this.#change(caller, { request: id, action: "approve" }, (change) =>
      approve(this.#ports, change, caller, id, approval),
    );
    return await this.getRequest(caller, id);
  }

  async deny(caller: Caller, id: string, reason: string): Promise<RequestView> {
    await this.#change(caller, { request: id, action: "deny" }, (change) =>
      deny(this.#ports, change, caller, id, reason),
    );
    return await this.getRequest(caller, id);
  }

  async withdraw(caller: Caller, id: string): Promise<RequestView> {
    await this.#change(caller, { request: id, action: "withdraw" }, (change) =>
      withdraw(change, caller, id),
    );
    return await this.getRequest(caller, id);
  }

  /** Ends a grant. Its sessions hear of it through the bus. */
  async revoke(caller: Caller, grantId: string, reason: string): Promise<GrantView> {
    await this.#change(caller, { grant: grantId, action: "revoke" }, (change) =>
      revoke(change, caller, grantId, reason),
    );
    return await this.getGrant(caller, grantId);
  }

  /** Gives a grant of the caller's own back. */
  async release(caller: Caller, grantId: string): Promise<GrantView> {
    await this.#change(caller, { grant: grantId, action: "release" }, (change) =>
      release(change, caller, grantId),
    );
    return await this.getGrant(caller, grantId);
  }

  /** Asks for more time for a grant. The answer's state says whether it was given at once. */
  async extend(caller: Caller, grantId: string, input: ExtensionAsk): Promise<RequestView> {
    const id = await this.#change(caller, { grant: grantId, action: "extend" }, (change) =>
      askForMore(this.#ports, this.#policies, change, caller, grantId, input),
    );
    return await this.getRequest(caller, id);
  }

  /** Signs the review of a grant by break-glass. */
  async review(caller: Caller, grantId: string, comment: string): Promise<GrantView> {
    await this.#change(caller, { grant: grantId, action: "review" }, (change) =>
      signReview(change, caller, grantId, comment),
    );
    return await this.getGrant(caller, grantId);
  }

  /** Says that the caller has looked at what a grant left behind. */
  async sign(caller: Caller, grantId: string, signature: Signature): Promise<GrantDetail> {
    await this.#change(caller, { grant: grantId, action: "sign" }, (change) =>
      signTraces(change, caller, grantId, signature),
    );
    return await this.describeGrant(caller, grantId);
  }

  /**
   * Writes down what time has decided: lapses requests, ends grants. Calls beside each other share the work.
   * Its records stay staged: whoever calls it first ends the sessions of what it returns, and drains the trail after
   * that, so that an end never waits for a journal that cannot be written.
   */
  async sweep(): Promise<Swept> {
    return await makeChange(this.#ports, async (change) => ({
      lapsed: await lapseDueRequests(change),
      ended: await endDueGrants(change),
    }));
  }

  async getRequest(caller: Caller, id: string): Promise<RequestView> {
    const { store, clock } = this.#ports;
    return this.#withWays(await getRequest(store.db, clock.now(), caller, id));
  }

  /** @throws JitdbError `request.unknown` as `getRequest` */
  async requestBackground(caller: Caller, id: string): Promise<RequestBackground> {
    const { store, clock } = this.#ports;
    const { canDecide, database, profile } = await this.getRequest(caller, id);
    const { description = "" } = this.#databases.get(database)?.profiles.get(profile) ?? {};
    // SECURITY: what somebody did elsewhere is for those who have to decide.
    const background = canDecide
      ? await backgroundOf(store.db, clock.now(), caller, id)
      : { lastGrants: [], unusual: [] };
    return { privileges: description, ...background };
  }

  /** Whether the caller may read what the journal has of a grant of somebody else's. */
  async readsRecords(caller: Caller, grantId: string): Promise<boolean> {
    const { store, clock } = this.#ports;
    return await readsRecords(store.db, clock.now(), caller, grantId);
  }

  async listRequests(caller: Caller, query: RequestQuery): Promise<Page<RequestView>> {
    const { store, clock } = this.#ports;
    const { rows, next } = await listRequests(store.db, clock.now(), caller, query);
    return { rows: rows.map((row) => this.#withWays(row)), next };
  }

  async getGrant(caller: Caller, id: string): Promise<GrantView> {
    return await getGrant(this.#ports.store.db, this.#databases, caller, id);
  }

  /** Everything about a grant that the caller may see. */
  async describeGrant(caller: Caller, id: string): Promise<GrantDetail> {
    const grant = await this.getGrant(caller, id);
    const request = await this.getRequest(caller, grant.requestId);
    return await describeGrant(this.#ports.store.db, caller, grant, request);
  }

  async listGrants(caller: Caller, query: GrantQuery): Promise<Page<GrantView>> {
    return await listGrants(this.#ports.store.db, this.#databases, caller, query);
  }

  #withWays(request: RequestView): RequestView {
    const { database, profile } = request;
    return { ...request, leavesTraces: [...this.#ports.waysToLeaveTraces(database, profile)] };
  }

  async #change<T>(
    caller: Caller,
    refusal: Refusal,
    work: (change: Change) => Promise<T>,
  ): Promise<T> {
    return await this.#recorded(caller, refusal, async () => {
      const result = await makeChange(this.#ports, work);
      await this.#ports.trail.drain();
      return result;
    });
  }

  /** Records it where the work is refused. */
  async #recorded<T>(caller: Caller, refusal: Refusal, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // What failed inside the server was refused by nobody; the log has it.
      if (error instanceof JitdbError && error.forms.http < 500) {
        await this.#recordRefusal(caller, refusal, error);
        await this.#ports.trail.drain();
      }
      throw error;
    }
  }

  async #recordRefusal(caller: Caller, refusal: Refusal, error: JitdbError): Promise<void> {
    await makeChange(this.#ports, (change) =>
      change.record({
        kind: "request.refused",
        person: caller.name,
        device: caller.deviceId,
        address: caller.address,
        ...refusal,
        code: error.code,
        reason: error.message,
      }),
    );
  }
}

function refusalOf({ database, durationMs, profile, breakGlass }: Ask): Refusal {
  return {
    database,
    ...(durationMs !== undefined && { durationMs }),
    ...(profile !== undefined && { profile }),
    ...(breakGlass === true && { breakGlass: true as const }),
  };
}
