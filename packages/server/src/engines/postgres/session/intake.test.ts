import { JitdbError } from "@jitdb/shared/errors";
import { encodeQuery } from "@jitdb/shared/postgres/encoder";
import { describe, expect, test } from "vitest";
import { Intake } from "./intake.ts";
import { OwedAnswers } from "./owed-answers.ts";

const query = encodeQuery("SELECT 1");

function createIntake(refuses = false) {
  const observer = {
    client(_: Uint8Array, { last }: { readonly last: boolean }) {
      if (refuses && last) {
        throw new JitdbError("postgres.protocol", "Refused.");
      }
    },
    received: () => undefined,
  };
  return new Intake(observer, new OwedAnswers());
}

describe("whether a goodbye may follow what was passed on", () => {
  test("not behind a part of a message, and behind all of it", () => {
    const intake = createIntake();
    expect(intake.isAtEnd).toBe(true);
    intake.push(query.subarray(0, 8));
    intake.takePending();
    expect(intake.isAtEnd).toBe(false);
    intake.push(query.subarray(8));
    expect(intake.isAtEnd).toBe(false);
    intake.takePending();
    expect(intake.isAtEnd).toBe(true);
  });

  test("not where the rest of the message was refused or dropped: it would complete a statement without a record (invariant 20)", () => {
    const refusing = createIntake(true);
    refusing.push(query.subarray(0, 8));
    refusing.takePending();
    expect(() => refusing.push(query.subarray(8))).toThrow(JitdbError);
    expect(refusing.isAtEnd).toBe(false);

    const dropping = createIntake();
    dropping.push(query.subarray(0, 8));
    dropping.takePending();
    dropping.push(query.subarray(8));
    dropping.drop();
    expect(dropping.isAtEnd).toBe(false);
  });
});
