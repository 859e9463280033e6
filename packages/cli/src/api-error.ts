// Turns a refusal of the server into one of our errors.

import { apiError } from "@jitdb/shared/api/wire";
import { isErrorCode, JitdbError } from "@jitdb/shared/errors";
import type { HttpAnswer } from "./network/network.ts";
import { roughly } from "./text.ts";

/** Clocks that differ by more are named when a proof is refused. */
const noticeableSkewMs = 60_000;

/**
 * The error that an answer outside 2xx means: the server's own code, message and hint where the body holds them, else
 * `server.unsuitable`. `now` is this machine's time, to name a clock that is wrong.
 */
export function toApiError(answer: HttpAnswer, server: string, now: number): JitdbError {
  const { error } = apiError.safeParse(parseJson(answer.text)).data ?? {};
  if (error === undefined) {
    return new JitdbError("server.unsuitable", `${server} answered ${answer.status}.`);
  }
  const { code, message, hint } = error;
  if (!isErrorCode(code)) {
    return new JitdbError("server.unsuitable", `${server} answered ${answer.status}: ${message}`);
  }
  const skew = code === "login.proof" ? describeSkew(answer.header("date"), now) : undefined;
  return new JitdbError(code, skew === undefined ? message : `${message} ${skew}`, { hint });
}

/** `This machine's clock is 7m behind the server's.`, or undefined where they agree. */
export function describeSkew(serverDate: string | undefined, now: number): string | undefined {
  const skewMs = now - Date.parse(serverDate ?? "");
  if (!(Math.abs(skewMs) > noticeableSkewMs)) {
    return undefined;
  }
  const direction = skewMs > 0 ? "ahead of" : "behind";
  // The header tells whole seconds, and `roughly` rounds up.
  const minutesMs = Math.round(skewMs / 60_000) * 60_000;
  return `This machine's clock is ${roughly(minutesMs)} ${direction} the server's.`;
}

/** The value of a JSON text, or undefined for what is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is no JSON is refused by the schema that reads it next.
    return undefined;
  }
}
