// Asking and deciding: what policies refuse, who may decide, and who was faster.

import type { FaultGroup } from "../fault.ts";
import { type Arrange, as, ask, askToWrite, type World } from "../world.ts";

const asAlice: Arrange = (scene, world) => as(scene, world.alice, world);
const asBob: Arrange = (scene, world) => as(scene, world.bob, world);
const asDave: Arrange = (scene, world) => as(scene, world.dave, world);

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
      condition: "no --for where the policy has no default, and nobody at a terminal",
      arrange: asAlice,
      command: "jitdb request prod-orders",
      stderr: [
        "error: The policy developers-read has no default duration for read-only on prod-orders.",
        "hint: Say how long with --for, up to 1h.",
      ],
      exit: 2,
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
        "hint: Ask somebody else to run `jitdb approve`, or take it back: `jitdb withdraw <request>`.",
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
  ],
};
