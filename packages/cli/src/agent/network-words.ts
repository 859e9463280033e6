// What is said when the network fails, and when it is back: quietly where open sessions go on.

import type { JitdbError } from "@jitdb/shared/errors";
import type { AgentEvents } from "./agent.ts";

/** @param ended what to do about sessions that have ended, as a sentence */
export function tellOfNetwork(say: (text: string) => void, ended: string): Required<AgentEvents> {
  return {
    lost: ({ message }: JitdbError, isKept) =>
      say(isKept ? "Connection lost, resuming…" : `${message} Trying again; ${ended}.`),
    restored: (awayMs, lostSessions) => {
      const back = `Back after ${(awayMs / 1000).toFixed(1)} s`;
      say(lostSessions === 0 ? `${back}.` : `${back}; ${ended}.`);
    },
  };
}
