// Who may use a refresh token (OAuth 2.1 §4.3.1, RFC 9449 §5). Rotated at each use; the one before still works for a
// moment, so that a lost answer, or a second process that started with the same token, does not end the login.

import type { Artifact, Artifacts } from "./artifacts.ts";

/** How long the predecessor of a refresh token works. */
const predecessorMs = 60_000;

/**
 * `first`: a token that was not used before. `again`: its answer may have been lost, and may be given once more.
 * `stolen`: two parties have it, and the login has to end.
 */
export type Use = "first" | "again" | "stolen";

/** Judges the use of `token` by the device whose key proved itself. */
export async function judgeUse(
  token: Artifact,
  device: string,
  artifacts: Pick<Artifacts, "usedRefreshTokens">,
  now: number,
): Promise<Use> {
  const { jkt, grantId } = token.payload;
  if (jkt !== device || grantId === undefined) {
    return "stolen";
  }
  if (token.consumedAt === null) {
    return "first";
  }
  if (now - token.consumedAt > predecessorMs) {
    return "stolen";
  }
  // Once a successor was used, its answer was not lost. Two processes may each have got a successor; both count.
  const usedSince = await artifacts.usedRefreshTokens(grantId, token.consumedAt);
  return usedSince.some((used) => generation(used) > generation(token.payload))
    ? "stolen"
    : "again";
}

/** How many rotations came before; the provider counts them. */
function generation(payload: Artifact["payload"]): number {
  return Number(payload["rotations"] ?? 0);
}
