// What a tunnel session tells its driver.

import type {
  AuthMap,
  GoAwayMap,
  HelloMap,
  NoticeMap,
  OpenedMap,
  OpenMap,
  ResetMap,
  SpareMap,
  SpentMap,
} from "./maps.ts";

/** What a message meant. `stream` is the id that `open` gave. */
export type TunnelEvent =
  /** The first of each WebSocket. */
  | { readonly type: "hello"; readonly hello: HelloMap }
  /** The tunnel goes on where the last WebSocket was lost, or begins anew (`lost` streams: each has its `reset`). */
  | { readonly type: "resumed"; readonly lost: number }
  | { readonly type: "auth"; readonly auth: AuthMap }
  /** The agent asks for a stream: answer with `opened` or `reset`. */
  | { readonly type: "open"; readonly stream: number; readonly open: OpenMap }
  | { readonly type: "opened"; readonly stream: number; readonly opened: OpenedMap }
  /** Bytes of the peer, before `opened` where they are those of a client that was greeted already; the receiver may keep them, and calls `consumed` when it has passed them on. */
  | { readonly type: "data"; readonly stream: number; readonly bytes: Uint8Array }
  /** A writer that was told false may go on. */
  | { readonly type: "writable"; readonly stream: number }
  /** The peer sends no more bytes; ours still reach it. */
  | { readonly type: "peerClosed"; readonly stream: number }
  /** Both directions are closed and everything is sent. Where our CLOSE was the last one, it comes with the next `receive`. */
  | { readonly type: "closed"; readonly stream: number }
  /** The peer ended the stream, or refused it; queued bytes are gone. */
  | { readonly type: "reset"; readonly stream: number; readonly reset: ResetMap }
  /** The peer opens and accepts no more streams; those that live go on. */
  | { readonly type: "goaway"; readonly goaway: GoAwayMap }
  | { readonly type: "notice"; readonly notice: NoticeMap }
  /** A session is announced. It counts on this WebSocket only. */
  | { readonly type: "spare"; readonly spare: SpareMap }
  | { readonly type: "spent"; readonly spent: SpentMap }
  | { readonly type: "pong"; readonly roundTripMs: number };
