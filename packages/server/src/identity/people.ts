// Accounts: who may log in, in which groups, with which password.

import type { PersonId } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";

export interface Person {
  readonly id: PersonId;
  readonly name: string;
  /** Sorted. */
  readonly groups: readonly string[];
  readonly disabled: boolean;
  /** Whether a password was chosen, by the set-up link or on the server's console. */
  readonly hasPassword: boolean;
  /** Epoch milliseconds. */
  readonly createdAt: number;
}

/** A link that lets its holder choose the password, once. */
export interface SetupLink {
  /** 32 random bytes in base64url; goes behind `<publicUrl>/setup/`. Only its hash is kept. */
  readonly token: Secret;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

export interface People {
  /** @throws JitdbError `usage.invalid` for a malformed name, `person.exists`. `by` names who did it, for the audit. */
  add(
    input: { name: string; groups: readonly string[] },
    by: string,
  ): Promise<{ person: Person; link: SetupLink }>;
  /** All, by name. */
  list(): Promise<Person[]>;
  /** @throws JitdbError `person.unknown`. */
  get(name: string): Promise<Person>;
  find(id: PersonId): Promise<Person | undefined>;
  /** Ends all logins of the person, too. @throws JitdbError `person.unknown`. */
  disable(name: string, by: string): Promise<Person>;
  /** @throws JitdbError `person.unknown`. */
  enable(name: string, by: string): Promise<Person>;
  /** Replaces the person's groups. @throws JitdbError `person.unknown`, `usage.invalid`. */
  setGroups(name: string, groups: readonly string[], by: string): Promise<Person>;
  /** A new link, also for a forgotten password; the one before ends to work. @throws JitdbError `person.unknown`. */
  renewLink(name: string, by: string): Promise<SetupLink>;
  /** @throws JitdbError `person.unknown`, `usage.invalid` for a password that is too short or too long. */
  setPassword(name: string, password: Secret, by: string): Promise<void>;
  /** The person, if the password is theirs and they are enabled. Takes the same time whether they exist or not. */
  verifyPassword(name: string, password: Secret): Promise<Person | undefined>;
  /** Whose link this is, if it still works. */
  linkOwner(token: Secret): Promise<Person | undefined>;
  /** Spends the link. `undefined`: it was used or has expired meanwhile. @throws JitdbError `usage.invalid` for the password. */
  useLink(token: Secret, password: Secret): Promise<Person | undefined>;
}
