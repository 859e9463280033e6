// Puts an agent together for one grant: tunnel, watch, and, where local clients are to come, front and listener.

import type { GrantView } from "@jitdb/shared/api/access";
import { type ErrorCode, JitdbError } from "@jitdb/shared/errors";
import { tidyingLimits } from "@jitdb/shared/memory/tidying";
import type { Secret } from "@jitdb/shared/secret";
import type { Context } from "../context.ts";
import { engineOf, type Front } from "./engine.ts";
import { GrantWatch } from "./grant-watch.ts";
import { type Listener, type ListenerPorts, listen, listenPrivately } from "./listener.ts";
import { tidying } from "./memory.ts";
import type { OpenStream } from "./stream.ts";
import { Tunnel, tunnelPath, tunnelSubprotocol } from "./tunnel.ts";

const software = "jitdb-cli";

/** Refusals of a stream which say that something about the grant changed. */
const endsOfGrant: ReadonlySet<ErrorCode> = new Set([
  "grant.expired",
  "grant.revoked",
  "grant.unknown",
]);

/** What an agent says while it runs. */
export interface AgentEvents {
  /** The server is out of reach; the tunnel is being made again. Open sessions wait for it, or have ended. */
  lost?(error: JitdbError, isKept: boolean): void;
  /** After so many milliseconds; so many open sessions could not go on. */
  restored?(awayMs: number, lostSessions: number): void;
}

/** A tunnel for one grant, watched. */
export interface Agent {
  readonly watch: GrantWatch;
  readonly openStream: OpenStream;
  /** Resolves with the error that ends the agent's use: the grant is over, the server gone, the login ended. */
  readonly failed: Promise<JitdbError>;
  /** Ends tunnel and watch; streams that live end with `error`. */
  close(error: JitdbError): void;
}

/** @throws JitdbError `server.*`, `login.*`, `tunnel.*` */
export async function startAgent(
  context: Context,
  grant: GrantView,
  events: AgentEvents = {},
): Promise<Agent> {
  const { clock, random } = context;
  const tokens = await context.tokens();
  const url = `${await context.server()}${tunnelPath}`;
  const watch = new GrantWatch(grant, { api: await context.api(), clock });
  const ends: { fail?: (error: JitdbError) => void } = {};
  const failed = new Promise<JitdbError>((resolve) => {
    ends.fail = resolve;
  });
  const tunnel = new Tunnel(
    {
      connect: () => context.openWebSocket(tunnelPath, tunnelSubprotocol),
      authorize: () => tokens.authorize("GET", url),
      clock,
      random,
      software,
    },
    {
      notice: (notice) => watch.notice(notice),
      lost: (error, isKept) => events.lost?.(error, isKept),
      restored: (awayMs, lostSessions) => {
        watch.look();
        events.restored?.(awayMs, lostSessions);
      },
      failed: (error) => ends.fail?.(error),
    },
  );
  try {
    await tunnel.start();
  } catch (error) {
    watch.close();
    throw error;
  }
  const looks = setInterval(() => tidying.look(), tidyingLimits.intervalMs).unref();
  return {
    watch,
    openStream: lookAtRefusals(tunnel.opener(engineOf(grant).name, grant.id), watch),
    failed: Promise.race([watch.ended, failed]),
    close: (error) => {
      clearInterval(looks);
      watch.close();
      tunnel.close(error);
    },
  };
}

/** A refusal may be the first that is heard of a grant's end. */
function lookAtRefusals(openStream: OpenStream, watch: GrantWatch): OpenStream {
  return (kind, startup, receiver) =>
    openStream(kind, startup, {
      opened: () => receiver.opened(),
      data: (bytes) => receiver.data(bytes),
      writable: () => receiver.writable(),
      peerClosed: () => receiver.peerClosed(),
      ended: (error) => {
        receiver.ended(error);
        if (error !== undefined && endsOfGrant.has(error.code)) {
          watch.look();
        }
      },
    });
}

/** An agent with its doors open to local clients. */
export interface ListeningAgent extends Agent {
  readonly listener: Listener;
  /** Tells every client why it ends, and closes everything. */
  shut(error: JitdbError): Promise<void>;
}

/** Opens the doors for everybody with the local password. @param port 0 for any. @throws JitdbError `local.*` */
export async function openDoors(
  context: Context,
  agent: Agent,
  password: Secret,
  port: number,
): Promise<ListeningAgent> {
  const { database } = agent.watch.grant;
  const ports = await createPorts(context, agent, password);
  return withListener(agent, ports.front, await listen(ports, port, database));
}

/** Opens a socket that no other process knows. @throws JitdbError `local.storage` */
export async function openPrivateDoor(
  context: Context,
  agent: Agent,
  password: Secret,
): Promise<ListeningAgent & { readonly listener: { readonly socketFolder: string } }> {
  const ports = await createPorts(context, agent, password);
  return withListener(agent, ports.front, await listenPrivately(ports));
}

async function createPorts(
  context: Context,
  agent: Agent,
  password: Secret,
): Promise<ListenerPorts & { readonly front: Front }> {
  const engine = engineOf(agent.watch.grant);
  const front = await engine.createFront({ openStream: agent.openStream, password });
  return { engine, front, home: context.environment.home };
}

function withListener<L extends Listener>(
  agent: Agent,
  front: Front,
  listener: L,
): ListeningAgent & { readonly listener: L } {
  return {
    ...agent,
    listener,
    shut: async (error) => {
      await listener.close();
      await front.close(error);
      agent.close(error);
    },
  };
}

/** What clients are told when a person ends the agent. */
export function endedByPerson(): JitdbError {
  return new JitdbError("local.interrupted", "The local jitdb process has ended.", {
    hint: "Start it again with `jitdb connect`.",
  });
}
