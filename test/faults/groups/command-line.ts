// Slips on the command line of `jitdb`, told before any server is asked.

import type { FaultGroup } from "../fault.ts";

export const commandLine: FaultGroup = {
  title: "The command line",
  faults: [
    {
      condition: "a misspelt command",
      command: "jitdb conect prod-orders",
      stderr: ["error: Unknown command 'conect'.", "hint: Did you mean connect?"],
      exit: 2,
    },
    {
      condition: "a command that there is none of",
      command: "jitdb frobnicate",
      stderr: ["error: Unknown command 'frobnicate'.", "hint: See `jitdb --help`."],
      exit: 2,
    },
    {
      condition: "a misspelt option",
      command: "jitdb request prod-orders --fro 30m",
      stderr: ["error: Unknown option '--fro'.", "hint: Did you mean --for?"],
      exit: 2,
    },
    {
      condition: "an option without its value",
      command: "jitdb request prod-orders --for",
      stderr: [
        "error: Option '--for <duration>' argument missing.",
        "hint: See `jitdb request --help`.",
      ],
      exit: 2,
    },
    {
      condition: "more arguments than the command takes",
      command: "jitdb request prod-orders 30m",
      stderr: [
        "error: Too many arguments for 'request'. Expected 1 argument but got 2: prod-orders, 30m.",
        "hint: See `jitdb request --help`.",
      ],
      exit: 2,
    },
    {
      condition: "a script that wants errors as JSON",
      command: "jitdb databases --josn --json",
      stderr: [
        '{"error":{"code":"usage.invalid","message":"Unknown option \'--josn\'.","hint":"Did you mean --json?"}}',
      ],
      exit: 2,
    },
    {
      condition: "a duration of nothing",
      command: "jitdb request prod-orders --for 0",
      stderr: ['error: "0" is not a duration.', "hint: Write a duration such as 30m, 2h or 1h30m."],
      exit: 2,
    },
    {
      condition: "a duration of zero minutes",
      command: "jitdb request prod-orders --for 0m",
      stderr: [
        "error: A duration must be longer than zero.",
        "hint: Write a duration such as 30m, 2h or 1h30m.",
      ],
      exit: 2,
    },
    {
      condition: "a negative duration",
      command: "jitdb request prod-orders --for -1",
      stderr: [
        'error: "-1" is not a duration.',
        "hint: Write a duration such as 30m, 2h or 1h30m.",
      ],
      exit: 2,
    },
    {
      condition: "a duration in powers of ten",
      command: "jitdb request prod-orders --for 1e9h",
      stderr: [
        'error: "1e9h" is not a duration.',
        "hint: Write a duration such as 30m, 2h or 1h30m.",
      ],
      exit: 2,
    },
    {
      condition: "a unit that is given twice",
      command: "jitdb request prod-orders --for 1h1h",
      stderr: [
        'error: "1h1h" is not a duration.',
        "hint: Write a duration such as 30m, 2h or 1h30m.",
      ],
      exit: 2,
    },
    {
      condition: "a duration longer than a year",
      command: "jitdb request prod-orders --for 999999999h",
      stderr: [
        'error: "999999999h" is longer than a year.',
        "hint: Write a duration such as 30m, 2h or 1h30m.",
      ],
      exit: 2,
    },
    {
      condition: "no database, and nobody at a terminal to ask",
      command: "jitdb request --for 30m",
      stderr: [
        "error: Which database? `jitdb request` needs its name here.",
        "hint: Write `jitdb request <database> --for 30m`; `jitdb databases` lists them.",
      ],
      exit: 2,
    },
    {
      condition: "no request to approve, and nobody at a terminal to ask",
      command: "jitdb approve",
      stderr: [
        "error: Which request? `jitdb approve` needs its id here.",
        "hint: Write `jitdb approve <id>`; `jitdb requests --inbox` lists them.",
      ],
      exit: 2,
    },
    {
      condition: "a port that is none",
      command: "jitdb connect prod-orders --port 99999",
      stderr: [
        'error: "99999" is not a port.',
        "hint: Write a number from 1 to 65535, or 0 for any free port.",
      ],
      exit: 2,
    },
    {
      condition: "a page of nothing",
      command: "jitdb audit --limit 0",
      stderr: ['error: --limit takes 1 to 500, not "0".', "hint: Write it like --limit 500."],
      exit: 2,
    },
    {
      condition: "a format that there is none of",
      command: 'jitdb sql prod-orders --format xml -c "select 1"',
      stderr: ['error: There is no format "xml".', "hint: Use one of table, csv, json."],
      exit: 2,
    },
    {
      condition: "help for something that is no command",
      command: "jitdb help conect",
      stderr: ['error: There is no help for "conect".', "hint: See `jitdb --help`."],
      exit: 2,
    },
    {
      condition: "no login yet, and no server named",
      command: "jitdb databases",
      stderr: [
        "error: No server is known yet.",
        "hint: Run `jitdb login <server>` first, or set JITDB_SERVER.",
      ],
      exit: 2,
    },
    {
      condition: "a login without a server, and nobody at a terminal to ask",
      command: "jitdb login",
      stderr: [
        "error: No server is known yet.",
        "hint: Run `jitdb login <server>` first, or set JITDB_SERVER.",
      ],
      exit: 2,
    },
    {
      condition: "not logged in to the server that is named",
      command: "jitdb databases --server https://jitdb.example.com",
      stderr: [
        "error: You are not logged in to https://jitdb.example.com.",
        "hint: Run `jitdb login https://jitdb.example.com`.",
      ],
      exit: 3,
    },
    {
      condition: "a server's address that is none",
      command: 'jitdb login "jitdb example"',
      stderr: [
        'error: "jitdb example" is not a server\'s address.',
        "hint: Write it like https://jitdb.example.com.",
      ],
      exit: 2,
    },
    {
      condition: "a server's address with a password in it",
      command: "jitdb login https://alice:secret@jitdb.example.com",
      stderr: [
        "error: A server's address has no user, password, query or fragment.",
        "hint: Write it like https://jitdb.example.com.",
      ],
      exit: 2,
    },
    {
      condition: "plain HTTP off loopback",
      command: "jitdb login http://jitdb.example.com",
      stderr: [
        "error: http://jitdb.example.com is plain HTTP, and not on this machine.",
        "hint: Use https://; plain HTTP is for loopback addresses alone.",
      ],
      exit: 2,
    },
  ],
};
