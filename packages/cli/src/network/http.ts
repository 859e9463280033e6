// Node's HTTP client. Asked for instead of imported: an import reads every export, and two of them load all of Node's fetch and
// WebSocket, 40 ms for each command.

export const { Agent, request } = process.getBuiltinModule("node:http");
