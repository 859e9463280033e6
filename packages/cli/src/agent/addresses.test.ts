import { describe, expect, it } from "vitest";
import { sampleGrant } from "../fakes.ts";
import { addressesOf, psqlLine } from "./addresses.ts";

const close = () => Promise.resolve();

describe("the line to paste", () => {
  it("goes through the socket and holds no password", () => {
    const listener = { port: 25_432, socketFolder: "/home/alice/.jitdb/run", close };
    const addresses = addressesOf(listener, sampleGrant());

    expect(psqlLine(addresses, "/home/alice/.jitdb/passwords/x.pgpass")).toBe(
      'psql "host=/home/alice/.jitdb/run port=25432 dbname=orders user=alice"',
    );
    expect(addresses.url).toBe(
      "postgresql://alice@/orders?host=%2Fhome%2Falice%2F.jitdb%2Frun&port=25432",
    );
  });

  it("asks for SCRAM and names the password's file where there is no socket (invariant 43)", () => {
    const addresses = addressesOf({ port: 25_432, socketFolder: undefined, close }, sampleGrant());

    expect(psqlLine(addresses, "/x.pgpass")).toBe(
      'psql "host=127.0.0.1 port=25432 dbname=orders user=alice passfile=/x.pgpass require_auth=scram-sha-256"',
    );
  });

  it("quotes names for libpq and for the shell", () => {
    const listener = { port: 1, socketFolder: "/home/o'brien/run", close };
    const grant = sampleGrant({ databaseName: 'my $(db) "x"' });

    expect(psqlLine(addressesOf(listener, grant), "")).toBe(
      `psql 'host='\\''/home/o\\'\\''brien/run'\\'' port=1 dbname='\\''my $(db) "x"'\\'' user=alice'`,
    );
  });
});
