// Which methods each path takes: fastify knows them, but answers 404 where 405 is meant.

import type { FastifyInstance } from "fastify";

export class AllowedMethods {
  readonly #methods = new Map<string, Set<string>>();

  /** Notes every route that is registered from now on. */
  constructor(app: FastifyInstance) {
    app.addHook("onRoute", ({ url, method }) => {
      const methods = this.#methods.get(url) ?? new Set();
      for (const one of [method].flat()) {
        methods.add(one);
      }
      this.#methods.set(url, methods);
    });
  }

  /** The methods of a called path; empty where nothing is there. */
  methodsOf(url: string): readonly string[] {
    const segments = url.replace(/\?.*$/s, "").split("/");
    for (const [pattern, methods] of this.#methods) {
      const expected = pattern.split("/");
      const matches =
        expected.length === segments.length &&
        expected.every((part, index) => part.startsWith(":") || part === segments[index]);
      if (matches) {
        return [...methods].sort();
      }
    }
    return [];
  }
}
