// The simplest stream that could be: no table, no buffers cut in pieces, all bytes kept for ever. The oracle of the real one;
// written from docs/tunnel-protocol.md §6, §7 and §10, and sharing nothing with it but limits.

import type { ResumeFrame } from "@jitdb/shared/tunnel/frame";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import type { StreamState } from "@jitdb/shared/tunnel/stream-states";

export const windowBytes = 40;
export const whole = tunnelLimits.maxPosition;
/** What a side says with one flush: type and position, or type and bytes. */
export type Said = readonly [string, ...number[]];

/** Thrown by the model where the protocol says error. */
export class Refused extends Error {}

function refuseUnless(isAllowed: boolean): void {
  if (!isAllowed) {
    throw new Refused();
  }
}

export class NaiveStream {
  #hasAsked = false;
  #wasAsked = false;
  #isAccepted = false;
  #isBroken = false;
  #isResetByPeer = false;
  #isEndKnown = false;
  /** Goes out next, and what the peer may not have got. */
  #owed: "OPEN" | "OPENED" | "RESET" | undefined;
  #unsure: "OPEN" | "OPENED" | "RESET" | undefined;

  #written: number[] = [];
  #sent = 0;
  #acked = 0;
  #limit = windowBytes;
  #isBlocked = false;
  #wantsClose = false;
  #hasSentClose = false;
  #isCloseAcked = false;

  #received = 0;
  #consumed = 0;
  #toldLimit = windowBytes;
  #toldReceived = 0;
  #hasPeerClosed = false;
  #owesAck = false;

  get state(): StreamState {
    if (this.#isBroken || (this.#hasSentClose && this.#hasPeerClosed)) {
      return "closed";
    }
    if (!this.#isAccepted) {
      return this.#hasAsked ? "requested" : this.#wasAsked ? "offered" : "idle";
    }
    if (this.#hasSentClose) {
      return "halfClosedLocal";
    }
    return this.#hasPeerClosed ? "halfClosedRemote" : "open";
  }

  get isFinished(): boolean {
    const isKnown = this.#isEndKnown || this.#isCloseAcked;
    return this.state === "closed" && isKnown && this.#next().length === 0;
  }

  get #lives(): boolean {
    return this.#isAccepted && this.state !== "closed";
  }

  get #receives(): boolean {
    return this.#lives && !this.#hasPeerClosed;
  }

  open(): void {
    refuseUnless(this.state === "idle");
    this.#hasAsked = true;
    this.#owed = this.#unsure = "OPEN";
  }

  opened(): void {
    refuseUnless(this.state === "offered");
    this.#isAccepted = true;
    this.#owesAck = this.#received > this.#toldReceived;
    this.#owed = this.#unsure = "OPENED";
  }

  write(bytes: readonly number[]): boolean {
    const isAhead = this.state === "requested";
    refuseUnless((isAhead || this.#lives) && !this.#hasSentClose && !this.#wantsClose);
    this.#written.push(...bytes);
    this.#isBlocked = this.#written.length > this.#limit;
    return !this.#isBlocked;
  }

  consumed(count: number): void {
    refuseUnless(this.#consumed + count <= this.#received);
    this.#consumed += count;
  }

  acknowledge(): void {
    this.#owesAck ||= this.#lives && this.#received > this.#toldReceived;
  }

  close(): void {
    if (!(this.#wantsClose || this.#hasSentClose)) {
      refuseUnless(this.#lives);
      this.#wantsClose = true;
    }
  }

  reset(): void {
    refuseUnless(this.state !== "idle" && this.state !== "closed");
    const isUnheard = this.#owed === "OPEN";
    this.#break();
    if (isUnheard) {
      this.#isEndKnown = true;
    } else {
      this.#owed = this.#unsure = "RESET";
    }
  }

  receiveOpen(): boolean {
    refuseUnless(this.state !== "requested" && this.state !== "closed");
    const isFirst = this.state === "idle";
    this.#wasAsked ||= isFirst;
    return isFirst;
  }

  receiveOpened(): boolean {
    refuseUnless(this.state === "requested" || this.#lives);
    const isFirst = !this.#isAccepted;
    this.#isAccepted = true;
    this.#unsure = undefined;
    return isFirst;
  }

  receiveData(position: number, count: number): void {
    const isAhead = this.state === "offered";
    refuseUnless((isAhead || this.#receives) && position === this.#received);
    refuseUnless(position + count <= this.#toldLimit);
    this.#received += count;
  }

  receiveWindow(limit: number): boolean {
    refuseUnless(this.#lives);
    this.#hear();
    return this.#raise(limit);
  }

  receiveAck(position: number): void {
    refuseUnless(this.#lives || this.state === "closed");
    this.#hear();
    if (this.#unsure === "RESET") {
      this.#isEndKnown ||= position === whole;
    } else if (!this.#isResetByPeer) {
      this.#ack(position);
    }
  }

  receiveClose(position: number): boolean {
    refuseUnless(this.#lives && position === this.#received);
    this.#hear();
    const isFirst = !this.#hasPeerClosed;
    this.#hasPeerClosed = true;
    this.#owesAck = true;
    return isFirst;
  }

  receiveReset(): void {
    refuseUnless(this.state !== "idle");
    this.#break();
    this.#isResetByPeer = true;
    this.#isEndKnown = true;
    this.#owesAck = true;
  }

  report(): Omit<ResumeFrame, "type" | "stream"> {
    this.#toldLimit = this.#receives ? this.#bestLimit : this.#toldLimit;
    this.#toldReceived = this.#received;
    this.#owesAck = this.#isResetByPeer;
    return {
      isOpened: this.state !== "requested" && this.state !== "offered",
      received: this.#received + (this.#hasPeerClosed ? 1 : 0),
      limit: this.#receives ? this.#toldLimit : this.#received,
    };
  }

  resume({ isOpened, received, limit }: Omit<ResumeFrame, "type" | "stream">): boolean {
    if (this.#isResetByPeer) {
      return false;
    }
    if (this.#unsure === "RESET" || (this.#unsure === "OPENED" && !isOpened)) {
      this.#owed = this.#unsure;
    }
    if (this.#unsure === "RESET") {
      return false;
    }
    refuseUnless(received >= this.#acked);
    this.#ack(received);
    this.#sent = this.#acked;
    this.#wantsClose ||= this.#hasSentClose && !this.#isCloseAcked;
    return this.#raise(limit);
  }

  isMissed(): boolean {
    if (this.state === "requested" && this.#acked === 0) {
      this.#owed = "OPEN";
      this.#sent = 0;
      return false;
    }
    const isLost = this.state !== "closed";
    this.#break();
    this.#isEndKnown = true;
    return isLost;
  }

  flush(): Said[] {
    const said = this.#next();
    for (const [type] of said) {
      if (type === "WINDOW") {
        this.#toldLimit = this.#bestLimit;
      } else if (type === "ACK") {
        this.#toldReceived = this.#received;
        this.#owesAck = false;
      } else if (type === "DATA") {
        this.#sent = Math.min(this.#written.length, this.#limit);
      } else if (type === "CLOSE") {
        this.#wantsClose = false;
        this.#hasSentClose = true;
      } else {
        this.#owed = undefined;
      }
    }
    return said;
  }

  /** Everything that is to be said now. */
  #next(): Said[] {
    const said: Said[] = this.#owed === undefined ? [] : [[this.#owed]];
    const credit = this.#bestLimit - this.#toldLimit;
    const hasWindow = this.#receives && credit * 4 >= windowBytes;
    if (hasWindow) {
      said.push(["WINDOW", this.#bestLimit]);
    }
    const hasMuch = this.#receives && (this.#received - this.#toldReceived) * 4 >= windowBytes;
    if (hasWindow || hasMuch || this.#owesAck) {
      said.push([
        "ACK",
        this.#isResetByPeer ? whole : this.#received + (this.#hasPeerClosed ? 1 : 0),
      ]);
    }
    const until = Math.min(this.#written.length, this.#limit);
    if (this.#sent < until) {
      said.push(["DATA", this.#sent, ...this.#written.slice(this.#sent, until)]);
    }
    if (this.#wantsClose && Math.max(this.#sent, until) === this.#written.length) {
      said.push(["CLOSE", this.#written.length]);
    }
    return said;
  }

  get #bestLimit(): number {
    return Math.max(this.#toldLimit, this.#consumed + windowBytes);
  }

  #hear(): void {
    this.#unsure = this.#unsure === "OPENED" ? undefined : this.#unsure;
  }

  #ack(position: number): void {
    const isCloseOut = this.#hasSentClose && !this.#wantsClose;
    refuseUnless(position <= this.#sent + (isCloseOut ? 1 : 0));
    this.#isCloseAcked ||= isCloseOut && position > this.#written.length;
    this.#acked = Math.max(this.#acked, Math.min(position, this.#written.length));
  }

  #raise(limit: number): boolean {
    refuseUnless(limit <= this.#sent + tunnelLimits.maxWindowBytes);
    this.#limit = Math.max(this.#limit, limit);
    const isFreed = this.#isBlocked && this.#written.length <= this.#limit;
    this.#isBlocked &&= !isFreed;
    return isFreed && !(this.#wantsClose || this.#hasSentClose);
  }

  /** Over at once. */
  #break(): void {
    this.#isBroken = true;
    this.#owed = undefined;
    this.#unsure = undefined;
    this.#written.length = this.#sent;
    this.#acked = this.#sent;
    this.#isBlocked = false;
    this.#wantsClose = false;
    this.#owesAck = false;
  }
}
