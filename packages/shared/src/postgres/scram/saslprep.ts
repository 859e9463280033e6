// Prepares passwords as PostgreSQL does before hashing them: SASLprep (RFC 4013), and the password unchanged where that
// refuses it. An approximation in two points that no ASCII password meets: the Unicode tables are the host's instead of
// 3.2's, and the check of mixed writing directions (RFC 3454 §6) is left out.

import { encodeText } from "../writer.ts";

const ascii = /^[\x20-\x7e]*$/;

/** RFC 3454 C.1.2: becomes a space. */
const nonAsciiSpace = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;

/** RFC 3454 B.1: becomes nothing. Named by code point, since most of them cannot be seen. */
const mappedToNothing =
  /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;

/** RFC 3454 C.2 to C.9: control, private use, non-characters, surrogates, and those unfit for plain text. */
const prohibited =
  /[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\u06dd\u070f\u180e\u2028\u2029\u2061-\u2063\u206a-\u206f\ufff9-\ufffd\u2ff0-\u2ffb\u200e\u200f\u202a-\u202e\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/u;

/** @returns the bytes that SCRAM hashes for a password */
export function preparePassword(password: string): Uint8Array {
  if (ascii.test(password)) {
    return encodeText(password);
  }
  const prepared = password
    .replace(nonAsciiSpace, " ")
    .replace(mappedToNothing, "")
    .normalize("NFKC");
  const usable = prepared !== "" && !prohibited.test(prepared);
  return encodeText(usable ? prepared : password);
}
