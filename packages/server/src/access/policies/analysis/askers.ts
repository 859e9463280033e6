// Whom policies let ask, as few as there need to be, and what is said of them. Pure.

import type { Policy } from "../../../config/config.ts";
import type { Asker } from "../../policy.ts";

/** The least that lets somebody ask: one group, or a name. Whoever has more is covered by no fewer policies. */
export function askersOf({ who, breakGlass }: Pick<Policy, "who" | "breakGlass">): Asker[] {
  const kind = { breakGlass: breakGlass !== undefined };
  return [
    ...who.people.map((person) => ({ ...kind, person, groups: [] })),
    ...who.services.map((person) => ({ ...kind, person, groups: [], service: true })),
    ...who.groups.map((group) => ({ ...kind, person: "", groups: [group] })),
  ];
}

export function sayAsker({ person, groups, service }: Asker): string {
  if (person !== "") {
    return service === true ? `the service ${person}` : person;
  }
  return `a member of ${groups.join()}`;
}
