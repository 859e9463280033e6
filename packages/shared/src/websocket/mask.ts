// The mask of a WebSocket's frames, which a client lays over everything that it sends. Source: RFC 6455 §5.3.

/** Fewer are not worth the views. */
const wordsFrom = 1024;

/** Lays the mask's four bytes over `bytes` from their beginning on, in place; a second time undoes it. Words at a time: bulk is masked, too. */
export function applyMask(bytes: Uint8Array, mask: Uint8Array): void {
  if (bytes.byteLength < wordsFrom) {
    maskBytes(bytes, mask, 0, bytes.byteLength);
    return;
  }
  const start = -bytes.byteOffset & 3;
  const count = (bytes.byteLength - start) >> 2;
  maskBytes(bytes, mask, 0, start);
  // The mask as a word in this machine's order of bytes, turned to where the words begin.
  const [word = 0] = new Uint32Array(
    Uint8Array.from({ length: 4 }, (_, index) => mask[(start + index) & 3] ?? 0).buffer,
  );
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, count);
  for (let index = 0; index < count; index += 1) {
    words[index] = (words[index] ?? 0) ^ word;
  }
  maskBytes(bytes, mask, start + count * 4, bytes.byteLength);
}

function maskBytes(bytes: Uint8Array, mask: Uint8Array, start: number, end: number): void {
  for (let index = start; index < end; index += 1) {
    bytes[index] = (bytes[index] ?? 0) ^ (mask[index & 3] ?? 0);
  }
}
