// Results as JSON: one array of objects for each, a line a row. A number is written as JSON's where every reader gets the
// exact value; numeric and large bigint are texts. json and jsonb stand as they are. A result that an error cuts off
// stays without its closing bracket, so that no reader takes it for whole.

import { decodeText } from "@jitdb/shared/postgres/reader";
import type { Column } from "@jitdb/shared/postgres/rows";
import type { ResultFormat, Row } from "./format.ts";

export class JsonFormat implements ResultFormat {
  #keys: readonly string[] = [];
  #writers: readonly ((text: string) => string)[] = [];
  #rows = 0;

  begin(columns: readonly Column[]): string {
    this.#keys = distinct(columns.map(({ name }) => name)).map((name) => JSON.stringify(name));
    this.#writers = columns.map(({ typeOid }) => writers.get(typeOid) ?? JSON.stringify);
    this.#rows = 0;
    return "[";
  }

  row(row: Row): string {
    this.#rows += 1;
    const members = row.map((value, index) => {
      const write = this.#writers[index] ?? JSON.stringify;
      return `${this.#keys[index]}:${value === null ? "null" : write(decodeText(value))}`;
    });
    return `${this.#rows === 1 ? "\n" : ",\n"}{${members.join(",")}}`;
  }

  end(): string {
    return this.#rows === 0 ? "]\n" : "\n]\n";
  }
}

function writeBoolean(text: string): string {
  return text === "t" ? "true" : "false";
}

function writeInteger(text: string): string {
  return Number.isSafeInteger(Number(text)) ? text : JSON.stringify(text);
}

/** PostgreSQL writes the shortest digits that give the same float back; NaN and Infinity are no JSON. */
function writeFloat(text: string): string {
  return Number.isFinite(Number(text)) ? text : JSON.stringify(text);
}

function writeJson(text: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch {
    // Not what the type promises; as a text the document stays readable.
    return JSON.stringify(text);
  }
}

/** By type OID (PostgreSQL's pg_type.dat): bool, int8, int2, int4, oid, float4, float8, json, jsonb. */
const writers: ReadonlyMap<number, (text: string) => string> = new Map([
  [16, writeBoolean],
  [20, writeInteger],
  [21, writeInteger],
  [23, writeInteger],
  [26, writeInteger],
  [700, writeFloat],
  [701, writeFloat],
  [114, writeJson],
  [3802, writeJson],
]);

/** A later column of the same name gets a number, or an object would lose it. */
function distinct(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let key = name;
    for (let count = 2; taken.has(key); count += 1) {
      key = `${name}_${count}`;
    }
    taken.add(key);
    return key;
  });
}
