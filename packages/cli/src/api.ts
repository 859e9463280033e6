// The server's API as functions. Answers are checked against the shared schemas, refusals become our errors.

import {
  databaseList,
  grantList,
  type grantQuery,
  grantView,
  requestBackground,
  requestList,
  type requestQuery,
  requestView,
} from "@jitdb/shared/api/access";
import {
  auditList,
  type auditQuery,
  sessionList,
  type sessionQuery,
} from "@jitdb/shared/api/audit";
import { type ServerEvent, serverEvent } from "@jitdb/shared/api/events";
import { deviceList, deviceView, meView } from "@jitdb/shared/api/people";
import { requestPreview } from "@jitdb/shared/api/previews";
import { grantDetail } from "@jitdb/shared/api/traces";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type * as z from "zod";
import { parseJson, toApiError } from "./api-error.ts";
import type { Tokens } from "./login/tokens.ts";
import type { HttpAnswer, Network } from "./network/network.ts";
import type { OpenWebSocket } from "./network/websocket.ts";

type Query<Schema extends z.ZodType> = z.input<Schema>;
type Answer<Schema extends z.ZodType> = Promise<z.output<Schema>>;

/**
 * Every call of the API, one method a route. All throw JitdbError: what the server refused with, or `server.unreachable`,
 * `server.certificate`, `server.unsuitable`, `login.required`, `login.expired`.
 */
export interface Api {
  me(): Answer<typeof meView>;
  devices(): Answer<typeof deviceList>;
  confirmDevice(id: string): Answer<typeof deviceView>;
  revokeDevice(id: string): Answer<typeof deviceView>;
  databases(): Answer<typeof databaseList>;
  requests(query: Query<typeof requestQuery>): Answer<typeof requestList>;
  request(id: string): Answer<typeof requestView>;
  requestBackground(id: string): Answer<typeof requestBackground>;
  createRequest(input: NewRequest): Answer<typeof requestView>;
  /** What would come of it; throws what `createRequest` would. */
  previewRequest(input: NewRequest): Answer<typeof requestPreview>;
  approve(id: string, input: Approval): Answer<typeof requestView>;
  deny(id: string, input: { readonly reason: string }): Answer<typeof requestView>;
  withdraw(id: string): Answer<typeof requestView>;
  grants(query: GrantQuery): Answer<typeof grantList>;
  grant(id: string): Answer<typeof grantView>;
  grantDetail(id: string): Answer<typeof grantDetail>;
  signTraces(id: string, input: Signature): Answer<typeof grantDetail>;
  revoke(id: string, input: { readonly reason: string }): Answer<typeof grantView>;
  release(id: string): Answer<typeof grantView>;
  extend(id: string, input: Extension): Answer<typeof requestView>;
  review(id: string, input: { readonly comment: string }): Answer<typeof grantView>;
  sessions(query: SessionQuery): Answer<typeof sessionList>;
  audit(query: Query<typeof auditQuery>): Answer<typeof auditList>;
  /**
   * Events as they come, until closed. Events are hints: what counts is what the other methods say. `onEnd` is called when no
   * more will come, whoever closed it.
   */
  watch(onEvent: (event: ServerEvent) => void, onEnd?: () => void): Promise<EventFeed>;
}

export interface NewRequest {
  readonly database: string;
  readonly profile?: string | undefined;
  /** Absent: as long as the policy says. */
  readonly durationSeconds?: number | undefined;
  readonly reason: string;
  /** ISO instant. */
  readonly startsAt?: string | undefined;
  readonly breakGlass?: boolean | undefined;
}

export interface Extension {
  readonly durationSeconds?: number | undefined;
  readonly reason: string;
  /** The end that the person saw. */
  readonly endsAt: string;
}

export interface Approval {
  readonly durationSeconds?: number | undefined;
  readonly profile?: string | undefined;
  readonly comment: string;
}

export interface Signature {
  /** Of the detail that the person was shown. */
  readonly digest: string;
  readonly comment: string;
}

/** In a query string `openTraces` and `openReviews` are text. */
export type GrantQuery = Omit<Query<typeof grantQuery>, "openTraces" | "openReviews"> & {
  readonly openTraces?: boolean;
  readonly openReviews?: boolean;
};

/** In a query string `open` is text. */
export type SessionQuery = Omit<Query<typeof sessionQuery>, "open"> & { readonly open?: boolean };

export interface EventFeed {
  readonly open: boolean;
  close(): void;
}

export interface ApiPorts {
  readonly network: Pick<Network, "call">;
  readonly tokens: Tokens;
  readonly openWebSocket: OpenWebSocket;
  readonly clock: Clock;
}

type Parameters = Readonly<Record<string, unknown>>;

/** The API over HTTP, each call with a proof of possession. */
export class HttpApi implements Api {
  readonly #server: string;
  readonly #ports: ApiPorts;

  /** `server` is the address without a slash at the end. */
  constructor(server: string, ports: ApiPorts) {
    this.#server = server;
    this.#ports = ports;
  }

  me() {
    return this.#get("/me", meView);
  }

  devices() {
    return this.#get("/devices", deviceList);
  }

  confirmDevice(id: string) {
    return this.#post(`/devices/${encodeURIComponent(id)}/confirm`, deviceView, {});
  }

  revokeDevice(id: string) {
    return this.#post(`/devices/${encodeURIComponent(id)}/revoke`, deviceView, {});
  }

  databases() {
    return this.#get("/databases", databaseList);
  }

  requests(query: Query<typeof requestQuery>) {
    return this.#get("/requests", requestList, query);
  }

  request(id: string) {
    return this.#get(`/requests/${encodeURIComponent(id)}`, requestView);
  }

  requestBackground(id: string) {
    return this.#get(`/requests/${encodeURIComponent(id)}/background`, requestBackground);
  }

  createRequest(input: NewRequest) {
    return this.#post("/requests", requestView, input);
  }

  previewRequest(input: NewRequest) {
    return this.#post("/requests/preview", requestPreview, input);
  }

  approve(id: string, input: Approval) {
    return this.#post(`/requests/${encodeURIComponent(id)}/approve`, requestView, input);
  }

  deny(id: string, input: { readonly reason: string }) {
    return this.#post(`/requests/${encodeURIComponent(id)}/deny`, requestView, input);
  }

  withdraw(id: string) {
    return this.#post(`/requests/${encodeURIComponent(id)}/withdraw`, requestView, {});
  }

  grants(query: GrantQuery) {
    return this.#get("/grants", grantList, query);
  }

  grant(id: string) {
    return this.#get(`/grants/${encodeURIComponent(id)}`, grantView);
  }

  grantDetail(id: string) {
    return this.#get(`/grants/${encodeURIComponent(id)}/detail`, grantDetail);
  }

  signTraces(id: string, input: Signature) {
    return this.#post(`/grants/${encodeURIComponent(id)}/sign`, grantDetail, input);
  }

  revoke(id: string, input: { readonly reason: string }) {
    return this.#post(`/grants/${encodeURIComponent(id)}/revoke`, grantView, input);
  }

  release(id: string) {
    return this.#post(`/grants/${encodeURIComponent(id)}/release`, grantView, {});
  }

  extend(id: string, input: Extension) {
    return this.#post(`/grants/${encodeURIComponent(id)}/extend`, requestView, input);
  }

  review(id: string, input: { readonly comment: string }) {
    return this.#post(`/grants/${encodeURIComponent(id)}/review`, grantView, input);
  }

  sessions(query: SessionQuery) {
    return this.#get("/sessions", sessionList, query);
  }

  audit(query: Query<typeof auditQuery>) {
    return this.#get("/audit", auditList, query);
  }

  async watch(
    onEvent: (event: ServerEvent) => void,
    onEnd: () => void = () => undefined,
  ): Promise<EventFeed> {
    const socket = await this.#ports.openWebSocket("/api/v1/events", "jitdb.events.v1");
    socket.on("message", (data, isBinary) => {
      const event = serverEvent.safeParse(isBinary ? undefined : parseJson(String(data)));
      // An event that is not understood comes from a newer server; asking finds the same.
      if (event.success) {
        onEvent(event.data);
      }
    });
    socket.on("close", onEnd);
    socket.on("error", () => {
      // A lost feed is no failure: whoever waits asks instead.
    });
    socket.resume();
    return {
      get open() {
        return socket.readyState === socket.OPEN;
      },
      close: () => socket.terminate(),
    };
  }

  #get<Schema extends z.ZodType>(path: string, schema: Schema, query: Parameters = {}) {
    const url = new URL(`${this.#server}/api/v1${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) {
        url.searchParams.set(name, String(value));
      }
    }
    return this.#call("GET", url, schema);
  }

  #post<Schema extends z.ZodType>(path: string, schema: Schema, body: object) {
    const url = new URL(`${this.#server}/api/v1${path}`);
    return this.#call("POST", url, schema, JSON.stringify(body));
  }

  async #call<Schema extends z.ZodType>(
    method: "GET" | "POST",
    url: URL,
    schema: Schema,
    body?: string,
  ): Answer<Schema> {
    let answer = await this.#send(method, url, body);
    const nonce = answer.header("dpop-nonce");
    if (nonce !== undefined) {
      this.#ports.tokens.useNonce(nonce);
    }
    if (answer.status === 401 && nonce !== undefined) {
      answer = await this.#send(method, url, body);
    }
    if (answer.status < 200 || answer.status > 299) {
      throw toApiError(answer, this.#server, this.#ports.clock.now());
    }
    const { data, error } = schema.safeParse(parseJson(answer.text));
    if (error !== undefined) {
      throw new JitdbError("server.unsuitable", `${this.#server} gave an answer of another form.`, {
        cause: error,
      });
    }
    return data;
  }

  async #send(method: "GET" | "POST", url: URL, body: string | undefined): Promise<HttpAnswer> {
    const { accessToken, proof } = await this.#ports.tokens.authorize(method, url.href);
    return await this.#ports.network.call({
      method,
      url,
      headers: {
        accept: "application/json",
        authorization: `DPoP ${accessToken.reveal()}`,
        dpop: proof,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body,
    });
  }
}
