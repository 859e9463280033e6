// For tests of access over HTTP: the real server in this process, on a database that is away, and people whose devices call
// the API. What the API answers is what the CLI gets; nothing of it is faked.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import { apiError } from "@jitdb/shared/api/wire";
import { vi } from "vitest";
import type { AuditKind, EventOf } from "../../packages/server/src/audit/record.ts";
import { requireConfig } from "../../packages/server/src/config/load.ts";
import type { ControlCommand } from "../../packages/server/src/control/commands.ts";
import { callControl } from "../../packages/server/src/control/socket.ts";
import { quickHash } from "../../packages/server/src/identity/quick-hash.ts";
import { createLogger } from "../../packages/server/src/logger.ts";
import { type RunningServer, startServer } from "../../packages/server/src/server.ts";
import { openState } from "../../packages/server/src/state.ts";
import { systemPorts } from "../../packages/server/src/system.ts";
import { letIn, TestDevice, type Tokens } from "../identity/device.ts";
import { freePort } from "../support/installation.ts";
import { Journal } from "../support/journal.ts";

const password = "people like long passwords";

export interface RigOptions {
  /** YAML of the `policies:` list. */
  readonly policies: string;
  /** Further sections of the file. */
  readonly sections?: string;
  /** Secrets beside it, by their file's name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Names with their groups. */
  readonly people: Readonly<Record<string, readonly string[]>>;
}

/** What a call was answered with. */
export interface Answer<Body = unknown> {
  readonly status: number;
  readonly body: Body;
}

/** Somebody's device, logged in. */
export class Client {
  readonly name: string;
  readonly device: TestDevice;
  readonly #url: string;
  #tokens: Pick<Tokens, "access_token" | "refresh_token">;

  constructor(name: string, url: string, device: TestDevice, tokens: Client["tokens"]) {
    this.name = name;
    this.#url = url;
    this.device = device;
    this.#tokens = tokens;
  }

  get tokens() {
    return this.#tokens;
  }

  /** @param path below /api/v1, with its query */
  async call<Body = unknown>(
    method: "GET" | "POST",
    path: string,
    body: object | null = {},
  ): Promise<Answer<Body>> {
    const url = new URL(`/api/v1${path}`, this.#url);
    const { access_token: token } = this.#tokens;
    const dpop = this.device.proof(method, url.origin + url.pathname, token);
    const sends = method === "POST" && body !== null;
    const response = await fetch(url, {
      method,
      headers: {
        authorization: `DPoP ${token}`,
        dpop,
        ...(sends && { "content-type": "application/json" }),
      },
      ...(sends && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Body };
  }

  /** The code of the refusal, and what it says. @throws Error where it was no refusal */
  async refused(method: "GET" | "POST", path: string, body?: object) {
    const answer = await this.call(method, path, body);
    const { code, message, hint } = apiError.parse(answer.body).error;
    return { status: answer.status, code, message, hint };
  }

  async ask(fields: object = {}): Promise<RequestView> {
    const asked = { database: "prod-orders", profile: "read-only", durationSeconds: 1800 };
    const input = { ...asked, reason: "INC-7", ...fields };
    return this.#expect(await this.call<RequestView>("POST", "/requests", input));
  }

  async grant(id: string): Promise<GrantView> {
    return this.#expect(await this.call<GrantView>("GET", `/grants/${id}`));
  }

  /** Access tokens last ten minutes. */
  async refresh(): Promise<void> {
    const { status, body } = await this.device.refresh(this.#tokens.refresh_token);
    if (status !== 200) {
      throw new Error(JSON.stringify(body));
    }
    this.#tokens = body as unknown as Tokens;
  }

  /** What `jitdb login --again` does. */
  async logInAgain(): Promise<void> {
    const { body } = await this.device.start({ login_again: "true" });
    const started = body as unknown as Awaited<ReturnType<TestDevice["begin"]>>;
    await letIn(started, this.name, password);
    this.#tokens = (await this.device.poll(started)).body as unknown as Tokens;
  }

  #expect<Body>({ status, body }: Answer<Body>): Body {
    if (status >= 300) {
      throw new Error(`${this.name} was answered ${status}: ${JSON.stringify(body)}`);
    }
    return body;
  }
}

export class AccessRig {
  readonly #folder: string;
  #server: RunningServer | undefined;
  readonly url: string;

  private constructor(folder: string, url: string) {
    this.#folder = folder;
    this.url = url;
  }

  static async open(options: RigOptions): Promise<AccessRig> {
    const folder = await mkdtemp(join(tmpdir(), "jitdb-access-"));
    const rig = new AccessRig(folder, `http://127.0.0.1:${await freePort()}`);
    try {
      await rig.#configure(options);
      await rig.#addPeople(options.people);
      await rig.start();
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  get #file(): string {
    return join(this.#folder, "jitdb.yaml");
  }

  /** The server's data folder. */
  get dataFolder(): string {
    return join(this.#folder, "data");
  }

  async start(): Promise<void> {
    const { config, digest } = requireConfig(this.#file);
    this.#server = await startServer(config, {
      ...systemPorts(),
      logger: createLogger({ write: () => undefined }, "json"),
      source: { file: this.#file, digest },
    });
  }

  async stop(): Promise<void> {
    await this.#server?.close("the test stops it");
    this.#server = undefined;
  }

  async close(): Promise<void> {
    vi.useRealTimers();
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A new device of somebody's, which nobody has confirmed unless the test says so. */
  async logIn(name: string, { confirmed = true } = {}): Promise<Client> {
    const device = new TestDevice(this.url);
    const tokens = await device.logIn(name, password);
    if (confirmed) {
      await this.console({ devices: { do: "confirm", person: name, device: device.id } });
    }
    return new Client(name, this.url, device, tokens);
  }

  /** What the operator does on the server's console. */
  async console(command: ControlCommand): Promise<unknown> {
    return await callControl(this.dataFolder, command);
  }

  /** Turns the clock of server and devices. */
  pass(ms: number): void {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
  }

  async records<Kind extends AuditKind>(kind: Kind): Promise<EventOf<Kind>[]> {
    return (await Journal.read(this.#folder)).of(kind);
  }

  async #configure({ policies, sections = "", files }: RigOptions): Promise<void> {
    const secrets = { secret: Buffer.alloc(32, 7).toString("base64"), ...files };
    for (const [name, text] of Object.entries(secrets)) {
      await writeFile(join(this.#folder, name), text, { mode: 0o600 });
    }
    // Nobody listens there: what is decided and recorded needs no database.
    await writeFile(
      this.#file,
      `listen: ${new URL(this.url).host}
publicUrl: ${this.url}
masterKey: \${file:secret}
databases:
  prod-orders:
    host: 127.0.0.1
    port: ${await freePort()}
    database: orders
    tls: { mode: disable }
    admin: { password: "\${file:secret}" }
policies:${policies}
${sections}`,
    );
  }

  async #addPeople(people: RigOptions["people"]): Promise<void> {
    const { config } = requireConfig(this.#file);
    const state = await openState(config, { ...systemPorts(), address: "a test" });
    const password_hash = quickHash(password);
    for (const [name, groups] of Object.entries(people)) {
      await state.people.add({ name, groups }, "test");
    }
    await state.store.db.updateTable("people").set({ password_hash }).execute();
    await state.close();
  }
}
