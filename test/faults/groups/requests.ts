// Asking and deciding: what policies refuse, who may decide, and who was faster.

import type { RequestView } from "@jitdb/shared/api/access";
import type { FaultGroup } from "../fault.ts";
import type { Scene } from "../scene.ts";
import { as, ask, askToWrite, grantToRead, type World } from "../world.ts";

const asAlice = (scene: Scene, world: World) => as(scene, world.alice, world);
const asBob = (scene: Scene, world: World) => as(scene, world.bob, world);
const asDave = (scene: Scene, world: World) => as(scene, world.dave, world);

export const requests: FaultGroup<World> = {
  title: "Requests and approvals",
  faults: [
    {
      condition: "a misspelt database",
      arrange: asAlice,
      command: "jitdb request prod-ordres --for 30m",
      stderr: ['error: There is no database "prod-ordres".', "hint: Did you mean prod-orders?"],
      exit: 9,
    },
    {
      condition: "a database that no policy opens to the person",
      arrange: asDave,
      command: "jitdb request prod-orders --for 30m",
      stderr: [
        "error: No policy lets you ask for prod-orders.",
        "hint: No policy opens any database to you; ask an administrator.",
      ],
      exit: 4,
    },
    {
      condition: "a profile that there is none of",
      arrange: asAlice,
      command: "jitdb request prod-orders --profile admin --for 30m",
      stderr: [
        "error: No policy lets you ask for the profile admin of prod-orders.",
        "hint: Ask with --profile read-only or --profile read-write.",
      ],
      exit: 4,
    },
    {
      condition: "a longer time than the policy allows",
      arrange: asAlice,
      command: "jitdb request prod-orders --for 8h",
      stderr: [
        "error: 8h is too long: the policy developers-read allows 1h at the most for read-only on prod-orders.",
        "hint: Ask for less with --for 1h.",
      ],
      exit: 4,
    },
    {
      condition: "no reason where the policy wants one",
      arrange: asAlice,
      command: "jitdb request prod-orders --profile read-write --for 10m",
      stderr: [
        "error: The policy developers-write wants a reason for read-write on prod-orders.",
        "hint: Say why with --reason.",
      ],
      exit: 2,
    },
    {
      condition: "a request that is denied while it is waited for",
      arrange: asAlice,
      meanwhile: async (scene, { bob }) => {
        await scene.printed("stderr", /Waiting/);
        const [id] = await scene.printed("stdout", /req_\w+/);
        await bob.expect(["deny", id, "--reason", "not on a Friday"]);
      },
      command: 'jitdb request prod-orders --profile read-write --for 10m --reason "row denied"',
      stdout: ["<id>"],
      stderr: [
        "Asked for prod-orders (read-write) for 10m.",
        "Waiting for approval by dba; the request lapses in 24h. Ctrl-C stops the waiting, not the request.",
        "error: Denied by bob: not on a Friday",
        "hint: Talk to the approver, then ask again with `jitdb request`.",
      ],
      exit: 5,
    },
    {
      condition: "a request that is withdrawn while it is waited for",
      arrange: asAlice,
      meanwhile: async (scene, { alice }) => {
        await scene.printed("stderr", /Waiting/);
        const [id] = await scene.printed("stdout", /req_\w+/);
        await alice.expect(["withdraw", id]);
      },
      command: 'jitdb request prod-orders --profile read-write --for 10m --reason "row withdrawn"',
      stdout: ["<id>"],
      stderr: [
        "Asked for prod-orders (read-write) for 10m.",
        "Waiting for approval by dba; the request lapses in 24h. Ctrl-C stops the waiting, not the request.",
        "error: <id> was withdrawn.",
        "hint: Ask again with `jitdb request`.",
      ],
      exit: 6,
    },
    {
      condition: "a request that nobody decides in time",
      arrange: asBob,
      command: "jitdb request prod-orders --for 10m",
      stdout: ["<id>"],
      stderr: [
        "Asked for prod-orders (read-only) for 10m.",
        "Waiting for approval by dba; the request lapses in 1s. Ctrl-C stops the waiting, not the request.",
        "error: <id> lapsed: nobody decided in time.",
        "hint: Ask again with `jitdb request`.",
      ],
      exit: 6,
    },
    {
      condition: "Ctrl-C while a request is waited for",
      arrange: asAlice,
      meanwhile: async (scene, { alice }) => {
        const [id] = await scene.printed("stdout", /req_\w+/);
        scene.after(() => alice.run(["withdraw", id]));
        await scene.printed("stderr", /Waiting/);
        scene.interrupt();
      },
      command: 'jitdb request prod-orders --profile read-write --for 10m --reason "row left"',
      stdout: ["<id>"],
      stderr: [
        "Asked for prod-orders (read-write) for 10m.",
        "Waiting for approval by dba; the request lapses in 24h. Ctrl-C stops the waiting, not the request.",
        "error: Stopped waiting; <id> is still pending.",
        "hint: Look with `jitdb requests`, take it back with `jitdb withdraw <id>`.",
      ],
      exit: 130,
    },
    {
      condition: "somebody who may not decide",
      arrange: async (scene, world) => {
        scene.name("request", await askToWrite(scene, world.alice, "not for dave"));
        asDave(scene, world);
      },
      command: "jitdb approve <request>",
      stderr: [
        "error: There is no request <request> that you may see.",
        "hint: List them with `jitdb requests`.",
      ],
      exit: 9,
    },
    {
      condition: "one's own request",
      arrange: async (scene, world) => {
        scene.name("request", await askToWrite(scene, world.bob, "his own"));
        asBob(scene, world);
      },
      command: "jitdb approve <request>",
      stderr: [
        "bob asks for prod-orders (read-write) for 10m.",
        "reason: his own",
        "device: <device>",
        "may: read and change rows",
        "error: The request <request> is your own.",
        "hint: Ask somebody else to run `jitdb approve`.",
      ],
      exit: 4,
    },
    {
      condition: "a request that was approved already",
      arrange: async (scene, world) => {
        const request = await askToWrite(scene, world.alice, "approved twice");
        await world.bob.expect(["approve", request]);
        scene.after(() => world.alice.run(["revoke", "prod-orders"]));
        scene.name("request", request);
        asBob(scene, world);
      },
      command: "jitdb approve <request>",
      stderr: [
        "alice asks for prod-orders (read-write) for 10m.",
        "reason: approved twice",
        "device: <device>",
        "approved: by bob",
        "may: read and change rows",
        "error: The request <request> was already approved.",
        "hint: See the outcome with `jitdb requests --all`.",
      ],
      exit: 10,
    },
    {
      condition: "a second approval by the same person",
      arrange: async (scene, world) => {
        const request = await ask(world.carol, "--for", "10m");
        scene.after(() => world.carol.run(["withdraw", request]));
        await world.bob.expect(["approve", request]);
        scene.name("request", request);
        asBob(scene, world);
      },
      command: "jitdb approve <request>",
      stderr: [
        "carol asks for prod-orders (read-only) for 10m.",
        "reason: none given",
        "device: <device>, never confirmed before: an approval confirms it",
        "approved: by bob",
        "needs: 1 of dba",
        "may: read tables and views",
        "error: You have already approved the request <request>.",
        "hint: Somebody else has to give the approvals that are missing.",
      ],
      exit: 10,
    },
    {
      condition: "a request that was withdrawn",
      arrange: async (scene, world) => {
        const request = await askToWrite(scene, world.alice, "withdrawn");
        await world.alice.expect(["withdraw", request]);
        scene.name("request", request);
        asBob(scene, world);
      },
      command: "jitdb deny <request>",
      stderr: [
        "error: The request <request> was already withdrawn.",
        "hint: See the outcome with `jitdb requests --all`.",
      ],
      exit: 10,
    },
    {
      condition: "a request that lapsed",
      arrange: async (scene, world) => {
        asBob(scene, world);
        const { stdout } = await world.bob.run(["request", "prod-orders", "--for", "20m"]);
        scene.name("request", stdout.trim());
      },
      command: "jitdb withdraw <request>",
      stderr: ["error: The request <request> has lapsed.", "hint: Ask again with `jitdb request`."],
      exit: 6,
    },
    {
      condition: "more time approved than was asked for",
      arrange: async (scene, world) => {
        scene.name("request", await askToWrite(scene, world.alice, "ten minutes"));
        asBob(scene, world);
      },
      command: "jitdb approve <request> --for 20m",
      stderr: [
        "alice asks for prod-orders (read-write) for 10m.",
        "reason: ten minutes",
        "device: <device>",
        "may: read and change rows",
        "error: An approval is for 10m, as asked, or for less.",
        "hint: Leave --for out, or write a shorter time.",
      ],
      exit: 2,
    },
    {
      condition: "an id that there is none of",
      arrange: asBob,
      command: "jitdb approve req_00000000",
      stderr: [
        "error: There is no request <id> that you may see.",
        "hint: List them with `jitdb requests`.",
      ],
      exit: 9,
    },
    {
      condition: "the beginning of two ids",
      arrange: async (scene, world) => {
        scene.name("first", await askToWrite(scene, world.alice, "one"));
        scene.name("second", await askToWrite(scene, world.alice, "another"));
        asBob(scene, world);
      },
      command: "jitdb deny req_",
      stderr: ['error: "req_" may mean <second>, <first>.', "hint: Write more of the id."],
      exit: 2,
    },
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
