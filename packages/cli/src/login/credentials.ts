// The logins of this device: which servers, and for each one its tokens and key. The secret part rests in the OS
// keychain or, where there is none, in a file with mode 0600; `servers.json` beside it holds nothing secret.

import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import * as z from "zod";
import { parseJson } from "../api-error.ts";
import type { Environment } from "../context.ts";
import { Keychain, keychainLimits } from "./keychain.ts";
import { withLock } from "./lock.ts";
import { readPrivateFile, writePrivateFile } from "./private-files.ts";

const secret = z.string().transform((text) => new Secret(text));

const storedLogin = z.object({
  /** Text of the device's private key as a JWK. */
  key: secret,
  /** Null for a service, which comes again with its key or a new token. */
  refreshToken: secret.nullable(),
  /** Cached, so that not every command has to refresh; null where the keychain's items are too small for it. */
  accessToken: secret.nullable(),
  /** Epoch milliseconds by this machine's clock. */
  accessTokenExpiresAt: z.number(),
  clientId: z.string(),
});

/** What a login to one server consists of. */
export type Login = z.infer<typeof storedLogin>;

/** Where a login's secrets rest. */
export type Resting = "keychain" | "file";

const serversFile = z.object({
  /** The server that was logged in to last. */
  current: z.string().nullable(),
  servers: z.record(
    z.string(),
    z.object({ person: z.string(), restsIn: z.enum(["keychain", "file"]) }),
  ),
});
type Servers = z.infer<typeof serversFile>;

const loginsFile = z.record(z.string(), z.unknown());

const names = { servers: "servers.json", logins: "credentials.json", locks: "locks" };

/** The logins of this device. */
export interface Credentials {
  /** Folder of all that is kept. */
  readonly home: string;
  /** Servers that were logged in to, and the one that is the default. */
  servers(): Promise<Servers>;
  read(server: string): Promise<Login | undefined>;
  /** Keeps a login, makes its server the default, and tells where its secrets rest now. */
  add(server: string, person: string, login: Login): Promise<Resting>;
  /** Replaces the tokens of a login that is there. */
  update(server: string, login: Login): Promise<void>;
  /** Forgets a login. */
  remove(server: string): Promise<void>;
  /** Does work that no other process of this device may do at the same time. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

/** The part of the keychain that is used here. */
type Items = Pick<Keychain, "get" | "set" | "delete">;

/** The logins below the home folder; touches no file yet. */
export function openCredentials(
  environment: Pick<Environment, "home" | "keychain">,
  keychain: Items = new Keychain(),
): Credentials {
  return new StoredCredentials(environment.home, environment.keychain ? keychain : undefined);
}

class StoredCredentials implements Credentials {
  readonly home: string;
  readonly #keychain: Items | undefined;

  constructor(home: string, keychain: Items | undefined) {
    this.home = home;
    this.#keychain = keychain;
  }

  async servers(): Promise<Servers> {
    const text = await readPrivateFile(this.home, names.servers);
    return text === undefined
      ? { current: null, servers: {} }
      : parseFile(join(this.home, names.servers), serversFile, text);
  }

  async read(server: string): Promise<Login | undefined> {
    const known = (await this.servers()).servers[server];
    if (known === undefined) {
      return undefined;
    }
    if (known.restsIn === "keychain") {
      const text = await this.#requireKeychain().get(server);
      return text === undefined ? undefined : parseFile("the keychain", storedLogin, text);
    }
    const login = (await this.#readFile())[server];
    return login === undefined
      ? undefined
      : parseFile(join(this.home, names.logins), storedLogin, JSON.stringify(login));
  }

  async add(server: string, person: string, login: Login): Promise<Resting> {
    return await this.exclusively(async () => {
      const restsIn = await this.#keep(server, login);
      const { servers } = await this.servers();
      await this.#writeServers({
        current: server,
        servers: { ...servers, [server]: { person, restsIn } },
      });
      return restsIn;
    });
  }

  async update(server: string, login: Login): Promise<void> {
    const list = await this.servers();
    const known = list.servers[server];
    if (known === undefined) {
      return;
    }
    const restsIn =
      known.restsIn === "file"
        ? await this.#keepInFile(server, login)
        : await this.#keep(server, login);
    if (restsIn !== known.restsIn) {
      await this.#writeServers({
        ...list,
        servers: { ...list.servers, [server]: { ...known, restsIn } },
      });
    }
  }

  async remove(server: string): Promise<void> {
    await this.exclusively(async () => {
      const { current, servers } = await this.servers();
      const { [server]: removed, ...others } = servers;
      if (removed?.restsIn === "file") {
        const { [server]: _forgotten, ...logins } = await this.#readFile();
        await this.#writeFile(logins);
      } else if (removed?.restsIn === "keychain") {
        await this.#requireKeychain().delete(server);
      }
      await this.#writeServers({
        current: current === server ? (Object.keys(others)[0] ?? null) : current,
        servers: others,
      });
    });
  }

  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    return await withLock(join(this.home, names.locks), work);
  }

  /** In the keychain if it takes it, else in the file: a rotated token that is kept nowhere would end the login. */
  async #keep(server: string, login: Login): Promise<Resting> {
    if (this.#keychain === undefined) {
      return await this.#keepInFile(server, login);
    }
    try {
      await this.#keychain.set(server, toItem(login));
      return "keychain";
    } catch {
      // Why the keychain failed is no news to the person; that the file is used is, and `login` says so.
      return await this.#keepInFile(server, login);
    }
  }

  async #keepInFile(server: string, login: Login): Promise<Resting> {
    await this.#writeFile({ ...(await this.#readFile()), [server]: reveal(login) });
    return "file";
  }

  async #readFile(): Promise<Record<string, unknown>> {
    const text = await readPrivateFile(this.home, names.logins);
    return text === undefined ? {} : parseFile(join(this.home, names.logins), loginsFile, text);
  }

  async #writeFile(logins: Record<string, unknown>): Promise<void> {
    await writePrivateFile(this.home, names.logins, `${JSON.stringify(logins, undefined, 2)}\n`);
  }

  async #writeServers(servers: Servers): Promise<void> {
    await writePrivateFile(this.home, names.servers, `${JSON.stringify(servers, undefined, 2)}\n`);
  }

  #requireKeychain(): Items {
    if (this.#keychain === undefined) {
      throw new JitdbError(
        "login.required",
        "The login rests in the keychain, which JITDB_KEYCHAIN=off keeps away.",
      );
    }
    return this.#keychain;
  }
}

/** Windows caps an item at 2,560 bytes: a long access token is left out and asked for anew by each command. */
function toItem(login: Login): string {
  const whole = JSON.stringify(reveal(login));
  const small = JSON.stringify(reveal({ ...login, accessToken: null }));
  return Buffer.byteLength(whole) <= keychainLimits.maxItemBytes ? whole : small;
}

function reveal(login: Login) {
  return {
    ...login,
    key: login.key.reveal(),
    refreshToken: login.refreshToken?.reveal() ?? null,
    accessToken: login.accessToken?.reveal() ?? null,
  };
}

function parseFile<T>(where: string, schema: z.ZodType<T>, text: string): T {
  const { data, error } = schema.safeParse(parseJson(text));
  if (error !== undefined) {
    throw new JitdbError("local.storage", `What is kept in ${where} is damaged.`, {
      hint: "Remove it, then run `jitdb login`.",
      cause: error,
    });
  }
  return data;
}
