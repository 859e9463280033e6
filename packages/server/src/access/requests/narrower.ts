// Whether one profile of a database allows no more than another, as far as the configuration says. Pure.

import type { Privileges, ProfileConfig } from "../../config/config.ts";

const ranks = { "read-only": 0, "read-write": 1, admin: 2 } as const satisfies Record<
  Privileges,
  number
>;

type Extent = Pick<ProfileConfig, "privileges" | "schemas" | "allowPrivileges">;

/** The same profile is no wider than itself, so it counts. */
export function isNoWider(one: Extent, than: Extent): boolean {
  return (
    ranks[one.privileges] <= ranks[than.privileges] &&
    one.schemas.every((schema) => than.schemas.includes(schema)) &&
    one.allowPrivileges.every((privilege) => than.allowPrivileges.includes(privilege))
  );
}
