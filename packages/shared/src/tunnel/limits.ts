// Every limit of the tunnel protocol. docs/tunnel-protocol.md §9 lists the same names and numbers, and a test compares them.

/** Bytes are bytes on the wire inside WebSocket messages; chars are UTF-16 units of a decoded text. */
export const tunnelLimits = {
  /** One WebSocket message, all of its frames and their headers. */
  maxMessageBytes: 1_048_576,
  /** Payload of a DATA frame: the position (8 bytes) and the body. */
  maxDataPayloadBytes: 262_144,
  /** Payload of a frame that carries a JSON map. */
  maxMapPayloadBytes: 65_536,
  /** Positions are exact integers in every JSON and JavaScript number: 2^53 - 1. */
  maxPosition: Number.MAX_SAFE_INTEGER,
  /** Stream ids are 32 bits; the highest odd one. */
  maxStreamId: 4_294_967_295,
  /** Streams that may live at once, where HELLO names no other number. */
  maxStreams: 256,
  /** Credit that a stream begins with; it grows with what arrives in a round trip. */
  windowBytes: 65_536,
  /** The most credit of one stream that a peer may give. */
  maxWindowBytes: 16_777_216,
  /** Credit that all streams of a tunnel have together beyond what they began with. */
  growthBytes: 16_777_216,
  /** What arrives for a stream is measured for so long at least: programs take turns, whatever the path. */
  leastSampleMs: 2,
  /** Up to here a window grows as if the path took `leastSampleMs`: smaller ones cost more to give than they save in waiting. */
  nearWindowBytes: 262_144,
  /** DATA frames of a tunnel that may wait for their reader at once: each costs memory beside its bytes. */
  maxUnreadFrames: 32_768,
  /** Memory for all streams that a sender keeps, unsent or not acknowledged; above it, streams with more than their share wait. */
  maxKeptBytes: 10_485_760,
  /** What each written chunk counts as beside its bytes. */
  chunkCostBytes: 128,
  /** Streams with no more than this to send go before the others. */
  smallTurnBytes: 16_384,
  /** DATA that one stream sends before the next stream has its turn. */
  turnDataBytes: 65_536,
  /** A message that has as much takes no further turn of a stream with more than `smallTurnBytes`: what comes next must not wait long. */
  bulkMessageBytes: 131_072,
  /** Everything that one stream can send in one turn: a map, WINDOW, ACK, DATA, CLOSE. */
  maxTurnBytes: 262_144,
  /** A received body may keep a buffer alive that is this many times its size; below that it is copied. */
  maxBufferPerBody: 8,
  /** Start-up and greeting of an announced session together; what is longer is not announced. In base64 they fit a map. */
  maxSpareBytes: 32_768,
  /** Announced sessions of a tunnel that an agent remembers, or a gateway lets it name. */
  maxSpares: 16,
  /** Messages and hints inside maps; longer ones are cut. */
  maxTextChars: 4096,
} as const;
