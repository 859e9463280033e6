// Base64 (RFC 4648 §4) as SCRAM writes it: padded, without line breaks. Strict, so that a value has one spelling.

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const digits = new Map(Array.from(alphabet, (character, digit) => [character, digit]));

const canonical =
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;

export function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let offset = 0; offset < bytes.length; offset += 3) {
    const [a = 0, b = 0, c = 0] = bytes.subarray(offset, offset + 3);
    const group = (a << 16) | (b << 8) | c;
    text += [18, 12, 6, 0].map((shift) => alphabet[(group >> shift) & 63]).join("");
  }
  const padding = (3 - (bytes.length % 3)) % 3;
  return text.slice(0, text.length - padding) + "=".repeat(padding);
}

/** @returns undefined for text that {@link encodeBase64} would not write */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (!canonical.test(text)) {
    return undefined;
  }
  const unpadded = text.replace(/=+$/, "");
  const bytes = new Uint8Array(Math.floor((unpadded.length * 3) / 4));
  let bits = 0;
  let pending = 0;
  let filled = 0;
  for (const character of unpadded) {
    pending = ((pending << 6) | (digits.get(character) ?? 0)) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[filled] = pending >> bits;
      filled += 1;
    }
  }
  return bytes;
}
