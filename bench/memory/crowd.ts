// Many clients who have asked one thing and sit idle, each with a session of its own, through agents as people run them. An agent serves a hundred
// clients at once, and a person has so many of them: a crowd is several people with many agents.

import pg from "pg";
import { frontLimits } from "../../packages/cli/src/agent/postgres/front.ts";
import { eventLimits } from "../../packages/server/src/http/websockets/events.ts";
import type { Installation } from "../../test/support/installation.ts";
import type { Person } from "../../test/support/person.ts";
import { type Child, waitForOutput } from "../../test/support/programs.ts";

/** As many as a grant may have sessions, too. */
export const clientsPerAgent = frontLimits.maxClients;
/** Each holds one of the connections for news that a person may have. */
const agentsPerPerson = eventLimits.maxPerPerson;
/** So much is done at the same time. */
const atOnce = 6;

/** People have no compile cache; what tests start has one. */
export const asShipped = { NODE_DISABLE_COMPILE_CACHE: "1" };

interface Agent {
  readonly child: Child;
  readonly client: pg.ClientConfig;
}

export class Crowd {
  readonly #installation: Installation;
  readonly #people: Person[] = [];
  readonly #agents: Agent[] = [];
  readonly #clients: pg.Client[] = [];

  /** @param installation with a policy that gives developers `prod-orders` for eight hours */
  constructor(installation: Installation) {
    this.#installation = installation;
  }

  /** The agents' processes. */
  get agents(): readonly number[] {
    return this.#agents.map(({ child }) => child.pid ?? 0);
  }

  /** Lets more clients come until there are so many. */
  async growTo(clients: number): Promise<void> {
    const agents = Math.ceil(clients / clientsPerAgent);
    while (this.#people.length * agentsPerPerson < agents) {
      this.#people.push(await this.#addPerson(`person${this.#people.length}`));
    }
    await forEach(this.#agents.length, agents, async (number) => {
      const person = this.#people[Math.floor(number / agentsPerPerson)];
      this.#agents[number] = await startAgent(person, number);
    });
    await forEach(this.#clients.length, clients, async (number) => {
      const agent = this.#agents[Math.floor(number / clientsPerAgent)];
      this.#clients[number] = await openClient(agent?.client);
    });
  }

  /** Sends clients home until so many are left. */
  async shrinkTo(clients: number): Promise<void> {
    await Promise.all(this.#clients.splice(clients).map((client) => client.end()));
  }

  /** Lets so many clients come, ask and leave, a few at a time, through an agent that leaves with the last of them. */
  async visit(clients: number): Promise<void> {
    const person = await this.#addPerson("visitor");
    const { child, client } = await startAgent(person, 0);
    await forEach(0, clients, async () => {
      const visitor = await openClient(client);
      await visitor.end();
    });
    await end(child);
  }

  async close(): Promise<void> {
    await this.shrinkTo(0);
    await Promise.all(this.#agents.splice(0).map(({ child }) => end(child)));
  }

  async #addPerson(name: string): Promise<Person> {
    return await this.#installation.addLoggedIn(name, ["developers"], { confirmed: true });
  }
}

/** Works for the numbers in between, for some of them at the same time. */
async function forEach(from: number, to: number, work: (number: number) => Promise<void>) {
  let next = from;
  const workSome = async () => {
    while (next < to) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, workSome));
}

/** With a grant of its own. */
async function startAgent(person: Person | undefined, number: number): Promise<Agent> {
  if (person === undefined) {
    throw new Error(`Agent ${number} is nobody's.`);
  }
  const ask = ["request", "prod-orders", "--for", "8h", "--reason", `agent ${number}`, "--json"];
  const { grantId }: { grantId: string } = JSON.parse(await person.expect(ask));
  const connect = ["connect", grantId, "--json", "--port", "0"];
  const child = person.start(connect, { env: asShipped });
  child.stderr?.resume();
  const [line] = await waitForOutput(child, "stdout", /^\{.*\}(?=\n)/);
  const { port, user, password, database }: pg.ClientConfig = JSON.parse(line);
  return { child, client: { host: "127.0.0.1", port, user, password, database } };
}

async function end(child: Child): Promise<void> {
  child.kill("SIGTERM");
  await child;
}

/** On a crowded machine a login may be too late; whoever wants to work tries again. */
async function openClient(config: pg.ClientConfig | undefined, triesLeft = 2): Promise<pg.Client> {
  const client = new pg.Client(config);
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SELECT 1");
    return client;
  } catch (error) {
    if (triesLeft === 0) {
      throw error;
    }
    return await openClient(config, triesLeft - 1);
  }
}
