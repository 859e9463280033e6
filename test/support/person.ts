// Somebody who uses jitdb as people do: from a home of their own, and through the served pages.

import { Browser, type Page } from "./browser.ts";
import {
  type Child,
  type Ended,
  type ProgramOptions,
  runProgram,
  startProgram,
  waitForOutput,
} from "./programs.ts";

/** Somebody with a home, a password and a browser. */
export class Person {
  readonly name: string;
  readonly home: string;
  readonly password: string;
  readonly browser = new Browser();
  readonly #env: Readonly<Record<string, string>>;

  /** @param env variables of everything that this person runs */
  constructor(
    name: string,
    home: string,
    password: string,
    env: Readonly<Record<string, string>> = {},
  ) {
    this.name = name;
    this.home = home;
    this.password = password;
    this.#env = env;
  }

  /** Runs `jitdb …` to its end. */
  async run(args: readonly string[], options: Partial<ProgramOptions> = {}): Promise<Ended> {
    const env = { ...this.#env, ...options.env };
    return await runProgram("jitdb", args, { home: this.home, ...options, env });
  }

  /** Runs `jitdb …`, which has to end well, and gives what it printed. */
  async expect(args: readonly string[], options: Partial<ProgramOptions> = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(args, options);
    if (exitCode !== 0) {
      throw new Error(`jitdb ${args.join(" ")} ended with ${exitCode}:\n${stdout}${stderr}`);
    }
    return stdout;
  }

  /** Starts `jitdb …` and leaves it running; the caller ends it. */
  start(args: readonly string[], options: Partial<ProgramOptions> = {}): Child {
    const env = { ...this.#env, ...options.env };
    return startProgram("jitdb", args, { home: this.home, ...options, env });
  }

  /** Runs `jitdb login`, and confirms the code in the browser. */
  async login(server: string): Promise<Ended> {
    const child = this.start(["login", server]);
    const [link = ""] = await waitForOutput(child, "stderr", /https?:\/\/\S*user_code=\S+/);
    await this.confirmLogin(link);
    const { exitCode = -1, stdout, stderr } = await child;
    return { exitCode, stdout: String(stdout), stderr: String(stderr) };
  }

  /** What a person does with the link of a login: name, password, the click. */
  async confirmLogin(link: string): Promise<Page> {
    let page = await this.browser.open(link);
    if (page.forms.some((form) => form.buttons.some(({ label }) => label === "Continue"))) {
      page = await this.browser.press(page, /^Continue$/);
    }
    if (page.forms.some((form) => form.fields.has("password"))) {
      page = await this.browser.press(page, /^Log in$/, {
        name: this.name,
        password: this.password,
      });
    }
    return await this.browser.press(page, /let it in/i);
  }
}
