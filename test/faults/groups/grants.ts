// Grants and records: what there is to connect with, to end, to sign and to read.

import type { RequestView } from "@jitdb/shared/api/access";
import type { FaultGroup } from "../fault.ts";
import { type Arrange, as, askToWrite, grantToRead, type World } from "../world.ts";

const asAlice: Arrange = (scene, world) => as(scene, world.alice, world);
const asBob: Arrange = (scene, world) => as(scene, world.bob, world);
const asDave: Arrange = (scene, world) => as(scene, world.dave, world);

export const grants: FaultGroup<World> = {
  title: "Grants and records",
  faults: [
    {
      condition: "no live grant at all",
      arrange: asAlice,
      command: "jitdb connect",
      stderr: [
        "error: You have no live grant.",
        "hint: Ask for access with `jitdb request <database> --for 30m`.",
      ],
      exit: 9,
    },
    {
      condition: "no live grant for the database",
      arrange: asAlice,
      command: 'jitdb sql prod-orders -c "select 1"',
      stderr: [
        "error: You have no live grant for prod-orders.",
        "hint: Ask for access with `jitdb request prod-orders --for 30m`.",
      ],
      exit: 9,
    },
    {
      condition: "two live grants, and nobody at a terminal to ask",
      arrange: async (scene, world) => {
        scene.name("first", await grantToRead(scene, world.alice, "20m"));
        scene.name("second", await grantToRead(scene, world.alice, "30m"));
        asAlice(scene, world);
      },
      command: "jitdb connect prod-orders",
      stderr: [
        "error: Several grants are live: <second> (prod-orders, read-only), <first> (prod-orders, read-only).",
        "hint: Name the id of the one you mean.",
      ],
      exit: 2,
    },
    {
      condition: "somebody else's grant",
      arrange: async (scene, world) => {
        scene.name("grant", await grantToRead(scene, world.alice));
        asDave(scene, world);
      },
      command: "jitdb connect <grant>",
      stderr: [
        "error: There is no grant <grant> that you may see.",
        "hint: List yours with `jitdb grants`.",
      ],
      exit: 9,
    },
    {
      condition: "somebody else's grant to revoke",
      arrange: async (scene, world) => {
        scene.name("grant", await grantToRead(scene, world.alice));
        asDave(scene, world);
      },
      command: "jitdb revoke <grant>",
      stderr: [
        'error: No live grant is meant by "<grant>".',
        "hint: List them with `jitdb grants --all`.",
      ],
      exit: 9,
    },
    {
      condition: "a grant that is over",
      arrange: async (scene, world) => {
        const grant = await grantToRead(scene, world.alice);
        await world.alice.expect(["revoke", grant]);
        scene.name("grant", grant);
        asAlice(scene, world);
      },
      command: "jitdb connect <grant>",
      stderr: [
        "error: The grant for prod-orders was revoked by alice.",
        "hint: Talk to who revoked it, or ask again with `jitdb request prod-orders --for 30m`.",
      ],
      exit: 8,
    },
    {
      condition: "signing what one's own grant leaves behind",
      arrange: async (scene, world) => {
        scene.name("grant", await grantToRead(scene, world.alice));
        asAlice(scene, world);
      },
      command: "jitdb grants sign <grant>",
      stderr: [
        "Left behind: not known yet. It is compared when the grant has ended.",
        "error: The grant <grant> is your own.",
        "hint: Somebody else has to look at what it left, and sign it.",
      ],
      exit: 4,
    },
    {
      condition: "signing what a grant leaves behind before it has ended",
      arrange: async (scene, world) => {
        const request = await askToWrite(scene, world.alice, "the lamp is the wrong one");
        await world.bob.expect(["approve", request]);
        const printed = await world.bob.expect(["requests", "--all", "--json"]);
        const { requests: asked } = JSON.parse(printed) as { requests: RequestView[] };
        const grant = asked.find(({ id }) => id === request)?.grantId ?? "";
        scene.after(() => world.alice.run(["revoke", grant]));
        scene.name("grant", grant);
        asBob(scene, world);
      },
      command: "jitdb grants sign <grant>",
      stderr: [
        "Left behind: not known yet. It is compared when the grant has ended.",
        "error: What <grant> left is not known yet.",
        "hint: See it with `jitdb grants show <grant>`.",
      ],
      exit: 10,
    },
    {
      condition: "the records of others, asked for by no administrator",
      arrange: asAlice,
      command: "jitdb audit --person bob",
      stderr: [
        "error: Only administrators see what others did.",
        "hint: Ask without --person to see your own records.",
      ],
      exit: 4,
    },
    {
      condition: "a page that there is none of",
      arrange: asAlice,
      command: "jitdb audit --after yesterday",
      stderr: [
        'error: "yesterday" is not the number of an audit record.',
        "hint: Take the number that the page before named.",
      ],
      exit: 2,
    },
  ],
};
