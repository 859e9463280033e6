// The state table of a stream. docs/tunnel-protocol.md §6 shows the same one, and a test compares them.

export type StreamState =
  | "idle"
  | "requested"
  | "offered"
  | "open"
  | "halfClosedLocal"
  | "halfClosedRemote"
  | "closed";

export type StreamInput =
  `${"send" | "receive"}${"Open" | "Opened" | "Data" | "Window" | "Ack" | "Close" | "Reset"}`;

/** The whole life of a stream. What has no cell is a protocol error; repeats that change nothing lead back to where they came from. */
export const streamTransitions: Readonly<
  Record<StreamState, Readonly<Partial<Record<StreamInput, StreamState>>>>
> = {
  idle: { sendOpen: "requested", receiveOpen: "offered" },
  requested: {
    receiveOpened: "open",
    sendData: "requested",
    sendReset: "closed",
    receiveReset: "closed",
  },
  offered: {
    receiveOpen: "offered",
    sendOpened: "open",
    receiveData: "offered",
    sendReset: "closed",
    receiveReset: "closed",
  },
  open: {
    receiveOpen: "open",
    receiveOpened: "open",
    sendData: "open",
    receiveData: "open",
    sendWindow: "open",
    receiveWindow: "open",
    sendAck: "open",
    receiveAck: "open",
    sendClose: "halfClosedLocal",
    receiveClose: "halfClosedRemote",
    sendReset: "closed",
    receiveReset: "closed",
  },
  halfClosedLocal: {
    receiveOpen: "halfClosedLocal",
    receiveOpened: "halfClosedLocal",
    receiveData: "halfClosedLocal",
    sendWindow: "halfClosedLocal",
    receiveWindow: "halfClosedLocal",
    sendAck: "halfClosedLocal",
    receiveAck: "halfClosedLocal",
    receiveClose: "closed",
    sendReset: "closed",
    receiveReset: "closed",
  },
  halfClosedRemote: {
    receiveOpen: "halfClosedRemote",
    receiveOpened: "halfClosedRemote",
    sendData: "halfClosedRemote",
    receiveWindow: "halfClosedRemote",
    sendAck: "halfClosedRemote",
    receiveAck: "halfClosedRemote",
    receiveClose: "halfClosedRemote",
    sendClose: "closed",
    sendReset: "closed",
    receiveReset: "closed",
  },
  closed: { sendAck: "closed", receiveAck: "closed", receiveReset: "closed" },
};
