// What can be done to accounts from the server's console: the same commands whether a server runs or not.

import { name } from "@jitdb/shared/api/wire";
import * as z from "zod";
import type { People, Person, SetupLink } from "../identity/people.ts";
import { operator } from "../identity/vouching.ts";

const groups = z.array(name).max(100);

export const userCommand = z.discriminatedUnion("do", [
  z.object({ do: z.literal("list") }),
  z.object({ do: z.literal("add"), name, groups, through: name.optional() }),
  z.object({ do: z.literal("groups"), name, groups, through: name.optional() }),
  z.object({ do: z.literal("disable"), name }),
  z.object({ do: z.literal("enable"), name }),
  z.object({ do: z.literal("setup-link"), name }),
]);
export type UserCommand = z.infer<typeof userCommand>;

export const userAnswer = z.object({
  people: z.array(
    z.object({
      name,
      groups: z.array(name),
      companyGroups: z.array(name),
      disabled: z.boolean(),
      hasPassword: z.boolean(),
      company: z.boolean(),
      service: z.boolean(),
    }),
  ),
  /** SECURITY: whoever has it chooses the password; it is for the console alone. */
  link: z.object({ url: z.string(), expiresAt: z.string() }).optional(),
});
export type UserAnswer = z.infer<typeof userAnswer>;

/** @throws JitdbError `person.unknown`, `person.exists` */
export async function runUserCommand(
  people: People,
  publicUrl: string,
  command: UserCommand,
): Promise<UserAnswer> {
  switch (command.do) {
    case "list":
      return answer(await people.list());
    case "add": {
      const { person, link } = await people.add(command, operator);
      return answer([person], showLink(publicUrl, link));
    }
    case "groups": {
      const { name, groups, through } = command;
      return answer([await people.setGroups(name, groups, operator, through)]);
    }
    case "disable":
      return answer([await people.disable(command.name, operator)]);
    case "enable":
      return answer([await people.enable(command.name, operator)]);
    case "setup-link": {
      const link = await people.renewLink(command.name, operator);
      return answer([await people.get(command.name)], showLink(publicUrl, link));
    }
  }
}

function answer(people: readonly Person[], link?: UserAnswer["link"]): UserAnswer {
  const shown = people.map((person) => ({
    name: person.name,
    groups: [...person.groups],
    companyGroups: [...person.companyGroups],
    disabled: person.disabled,
    hasPassword: person.hasPassword,
    company: person.company,
    service: person.service,
  }));
  return { people: shown, ...(link && { link }) };
}

/** The set-up link as a person opens it. */
export function showLink(publicUrl: string, link: SetupLink): { url: string; expiresAt: string } {
  return {
    url: `${publicUrl}/setup/${link.token.reveal()}`,
    expiresAt: new Date(link.expiresAt).toISOString(),
  };
}
