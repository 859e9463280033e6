// How many steps a condition can take at the most, counted from its text: CEL has no loops but those over lists and maps that
// somebody has written, or that a request brings.

import type { ASTNode } from "@marcbachmann/cel-js";

/** Most steps of a condition. A step takes about a microsecond; what is more is refused when the file is read. */
export const maxSteps = 100_000;

/** Elements that lists of a request can have, for counting. */
const sizes: Readonly<Record<string, number>> = { groups: 100, labels: 100 };
/** Of any other list, such as the words of a reason. */
const unknownSize = 1000;

const macros: readonly string[] = ["all", "exists", "exists_one", "map", "filter"];

export interface Steps {
  readonly steps: number;
  /** Where the most expensive loop begins in the text, in UTF-16 units. */
  readonly offset: number;
}

/** The most steps that an expression can take. */
export function countSteps(node: ASTNode): Steps {
  const parts = partsOf(node).map(countSteps);
  const together = parts.reduce((sum, { steps }) => sum + steps, 1);
  const worst = parts.reduce((most, part) => (part.steps > most.steps ? part : most), none);
  if (node.op !== "rcall" || !macros.includes(node.args[0])) {
    return { steps: together, offset: worst.offset };
  }
  const [, list] = node.args;
  const before = countSteps(list).steps;
  return { steps: before + sizeOf(list) * (together - before), offset: node.range.start };
}

const none: Steps = { steps: 0, offset: 0 };

/** How many elements the value of an expression can have at the most, where it is a list or a map. */
function sizeOf(node: ASTNode): number {
  switch (node.op) {
    case "list":
    case "map":
      return node.args.length;
    case "+":
      return sizeOf(node.args[0]) + sizeOf(node.args[1]);
    case "?:":
      return Math.max(sizeOf(node.args[1]), sizeOf(node.args[2]));
    case "id":
      return sizes[node.args] ?? unknownSize;
    case ".":
      return sizes[node.args[1]] ?? unknownSize;
    case "rcall":
      return macros.includes(node.args[0]) ? sizeOf(node.args[1]) : unknownSize;
    default:
      return unknownSize;
  }
}

function partsOf(node: ASTNode): ASTNode[] {
  return nodesIn(node.args);
}

function nodesIn(args: unknown): ASTNode[] {
  if (Array.isArray(args)) {
    return args.flatMap(nodesIn);
  }
  return isNode(args) ? [args] : [];
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}
