// Makes the records of what a client asks for: statements, prepared statements, portals, function calls.
// It keeps what an Execute's record needs of a Parse and a Bind, and nothing long.

import { formatOf } from "@jitdb/shared/postgres/frontend";
import type { Candidate, RecordedParameters, RecordedText } from "../../../audit/record.ts";
import type { Masker } from "../../../audit/statements/masker.ts";
import type { SqlSyntax } from "../../../audit/statements/sql-tokenizer.ts";
import { recordParameter, type ValueKind } from "../../../audit/statements/text.ts";
import type { Meanings } from "./names.ts";

/** Bytes of a text, or of all parameters, that are repeated in an Execute's intent. */
const repeatedBytes = 4096;
/** Above so many names nothing is repeated, so that names cost little memory. */
const maxRepeatedNames = 1000;

/** What decides whether something is kept to be repeated. */
interface Weight {
  readonly bytes: number;
  /** Names of its sort that the session holds. */
  readonly names: number;
}

/** A prepared statement. */
export interface Prepared {
  /** Id of its statement.parse record. */
  readonly id: string;
  readonly text: Pick<Candidate, "text" | "masked">;
  /** Parameters, from 1, that may be secrets. */
  readonly secretParameters: readonly number[];
  readonly takesNames: boolean;
  /** OIDs of the parameters' types, as the client fixed or the server told them; 0 or missing where that is open. */
  types: readonly number[];
}

/** A portal. */
export interface Bound {
  /** Id of its statement.bind record. */
  readonly id: string;
  /** What it may have been bound to when the Bind was sent. */
  readonly prepared: Meanings<Prepared>;
  /** Key of the prepared statement's name. */
  readonly statementName: string;
  readonly parameters: RecordedParameters | undefined;
  /** What it was bound to, known since the server confirmed it. */
  meaning: { readonly value: Prepared | undefined; readonly isCertain: boolean } | undefined;
}

/** How the values of a message are to be read. */
export interface ValueReading {
  readonly formats: readonly number[];
  /** OIDs of types; 0 or missing where they are not known. */
  readonly types: readonly number[];
  /** Those, from 1, that may be secrets. */
  readonly secrets: readonly number[];
}

/**
 * Texts that may take a name away or give it another meaning by SQL: PREPARE, DECLARE, CLOSE, and what runs texts made
 * elsewhere. `sql` is as `asAscii` gives it. SECURITY: the body of a DO can spell its words with escapes (`E'\105XECUTE …'`), so DO itself counts.
 */
export function takesNames(sql: string): boolean {
  return /prepare|declare|execute|deallocate|discard|\bclose\b|\bcall\b|\bdo\b(?!\s+(?:nothing|update)\b)/i.test(
    sql,
  );
}

/** Texts that may make a function of whose text nothing can be told: from then on every statement may do the above. */
export function makesCode(sql: string): boolean {
  return /\bcreate\b/i.test(sql) && /\b(?:function|procedure)\b/i.test(sql);
}

export function keepPrepared(
  id: string,
  { text, masked }: RecordedText,
  flags: Pick<Prepared, "secretParameters" | "takesNames" | "types">,
  { bytes, names }: Weight,
): Prepared {
  const isChunked = typeof text !== "string" && "parts" in text;
  const isKept = !isChunked && bytes <= repeatedBytes && names < maxRepeatedNames;
  const kept = isKept ? { text, masked } : {};
  return { id, text: kept, ...flags };
}

/** Parameters of a Bind, or arguments of a FunctionCall. */
export function recordParameters(
  values: readonly (Uint8Array | null)[],
  reading: ValueReading,
  masker: Masker,
  syntax: SqlSyntax,
): RecordedParameters {
  return values.map((value, index) =>
    recordParameter(value, valueKind(reading, index), masker, syntax),
  );
}

/** How one value, counted from 0, is to be recorded. */
export function valueKind({ formats, types, secrets }: ValueReading, index: number): ValueKind {
  return {
    type: formatOf(formats, index) === 0 ? undefined : (types[index] ?? 0),
    isSecret: secrets.includes(index + 1),
  };
}

/** What is known of the values that are bound to one of these. */
export function boundValues({
  values,
  mayBeOther,
}: Meanings<Prepared>): Pick<ValueReading, "types" | "secrets"> {
  const [only, ...others] = values;
  const isCertain = others.length === 0 && !mayBeOther;
  return {
    types: (isCertain ? only?.types : undefined) ?? [],
    secrets: values.flatMap(({ secretParameters }) => secretParameters),
  };
}

/** Parameters that an intent repeats; undefined where they are long. */
export function keepParameters(
  parameters: RecordedParameters,
  { bytes, names }: Weight,
): RecordedParameters | undefined {
  return bytes <= repeatedBytes && names < maxRepeatedNames ? parameters : undefined;
}

/** Candidates of a Bind: the statements that it may mean. */
export function statementCandidates({
  values,
  mayBeOther,
  isOld,
}: Meanings<Prepared>): Candidate[] {
  const old = isOld ? { mayBeRenamed: true as const } : {};
  const known = values.map((prepared) => ({ parse: prepared.id, ...prepared.text, ...old }));
  return mayBeOther ? [...known, { parse: null }] : known;
}

/** Candidates of an Execute: each portal that it may mean with each statement that this may be bound to. */
export function portalCandidates({ values, mayBeOther, isOld }: Meanings<Bound>): Candidate[] {
  const old = isOld ? { mayBeRenamed: true as const } : {};
  const known = values.flatMap((bound) =>
    statementCandidates(boundStatements(bound)).map((candidate) => ({
      ...candidate,
      bind: bound.id,
      parameters: bound.parameters,
      ...old,
    })),
  );
  return mayBeOther ? [...known, { parse: null }] : known;
}

/**
 * Whether any statement that the portal may run takes names away. What was made with SQL's PREPARE or DECLARE can't: it
 * is a query.
 */
export function mayTakeNames({ values }: Meanings<Bound>): boolean {
  return values.some((bound) =>
    boundStatements(bound).values.some((prepared) => prepared.takesNames),
  );
}

function boundStatements({ meaning, prepared }: Bound): Meanings<Prepared> {
  return meaning === undefined
    ? prepared
    : {
        values: meaning.value === undefined ? [] : [meaning.value],
        mayBeOther: meaning.value === undefined || !meaning.isCertain,
        isOld: prepared.isOld,
      };
}
