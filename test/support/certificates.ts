// Certificates for tests: an authority, and what it vouches for. Made by openssl, good for two days.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Certificate {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  readonly cert: string;
  issue(commonName: string): Promise<Certificate>;
  remove(): Promise<void>;
}

/** Whoever makes it calls `remove` on every path. */
export async function createAuthority(name: string): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), "jitdb-ca-"));
  const file = (part: string) => join(folder, part);
  const make = ["req", "-new", "-x509", "-days", "2", "-nodes"];
  const write = ["-keyout", file("ca.key"), "-out", file("ca.crt")];
  await run("openssl", [...make, "-subj", `/CN=${name}`, ...write]);
  return {
    cert: await readFile(file("ca.crt"), "utf8"),
    async issue(commonName) {
      const [key, cert] = [file(`${commonName}.key`), file(`${commonName}.crt`)];
      await run("openssl", [
        ...[...make, "-subj", `/CN=${commonName}`],
        ...["-addext", `subjectAltName=DNS:${commonName}`],
        ...["-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-keyout", key, "-out", cert],
      ]);
      return { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
    },
    remove: () => rm(folder, { recursive: true }),
  };
}
