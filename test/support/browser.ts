// As much of a browser as the server's pages need: it follows redirects, keeps cookies, and fills in and sends forms.
// It presses the buttons that a person would press and sends what the page's forms hold, nothing else.

/** A page as it was served. */
export interface Page {
  readonly url: string;
  readonly status: number;
  readonly html: string;
  /** What a person would read: the text without its mark-up. */
  readonly text: string;
  readonly forms: readonly Form[];
}

/** A form of a page, with its fields as they were served and the buttons that send it. */
export interface Form {
  readonly action: string;
  readonly method: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly buttons: readonly Button[];
}

interface Button {
  readonly label: string;
  readonly name: string | undefined;
  readonly value: string;
}

const maxRedirects = 10;

/** One browser profile: its cookies live as long as the object. */
export class Browser {
  readonly #cookies = new Map<string, string>();

  /** Opens an address, as if it were typed. */
  async open(url: string): Promise<Page> {
    return await this.#load(new URL(url), "GET", undefined);
  }

  /**
   * Presses a button of the page, after filling in the form that the button belongs to.
   * @throws Error where the page has no such button, or the form no such field.
   */
  async press(
    page: Page,
    label: RegExp,
    values: Readonly<Record<string, string>> = {},
  ): Promise<Page> {
    for (const form of page.forms) {
      const button = form.buttons.find((candidate) => label.test(candidate.label));
      if (button !== undefined) {
        return await this.#send(page, form, button, values);
      }
    }
    throw new Error(`No button ${String(label)} on ${page.url}: ${page.text.slice(0, 400)}`);
  }

  async #send(
    page: Page,
    form: Form,
    button: Button,
    values: Readonly<Record<string, string>>,
  ): Promise<Page> {
    const data = new URLSearchParams([...form.fields]);
    for (const [name, value] of Object.entries(values)) {
      if (!form.fields.has(name)) {
        throw new Error(`No field "${name}" on ${page.url}: ${[...form.fields.keys()].join(", ")}`);
      }
      data.set(name, value);
    }
    if (button.name !== undefined) {
      data.set(button.name, button.value);
    }
    const target = new URL(form.action, page.url);
    if (form.method === "get") {
      target.search = data.toString();
      return await this.#load(target, "GET", undefined);
    }
    return await this.#load(target, "POST", data);
  }

  async #load(
    start: URL,
    startMethod: string,
    startBody: URLSearchParams | undefined,
  ): Promise<Page> {
    let url = start;
    let method = startMethod;
    let body = startBody;
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const response = await fetch(url, {
        method,
        redirect: "manual",
        headers: this.#headers(url, method),
        ...(body === undefined ? {} : { body }),
      });
      this.#keepCookies(response);
      const location = response.headers.get("location");
      if (response.status < 300 || response.status > 399 || location === null) {
        return readPage(url.href, response.status, await response.text());
      }
      await response.body?.cancel();
      url = new URL(location, url);
      method = "GET";
      body = undefined;
    }
    throw new Error(`More than ${maxRedirects} redirects from ${start.href}`);
  }

  #headers(url: URL, method: string): Record<string, string> {
    const cookie = Array.from(this.#cookies, ([name, value]) => `${name}=${value}`).join("; ");
    return {
      accept: "text/html",
      ...(cookie === "" ? {} : { cookie }),
      // What every browser adds to a form that it sends.
      ...(method === "POST" ? { origin: url.origin } : {}),
    };
  }

  #keepCookies(response: Response): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = "", ...attributes] = line.split(";");
      const name = pair.slice(0, pair.indexOf("=")).trim();
      const value = pair.slice(pair.indexOf("=") + 1).trim();
      const expires = attributes.map((part) => /^\s*expires=(.*)$/i.exec(part)?.[1]).find(Boolean);
      if (value === "" || (expires !== undefined && Date.parse(expires) < Date.now())) {
        this.#cookies.delete(name);
      } else {
        this.#cookies.set(name, value);
      }
    }
  }
}

function readPage(url: string, status: number, html: string): Page {
  const text = decodeEntities(
    html.replaceAll(/<(style|script|head)\b.*?<\/\1>/gis, "").replaceAll(/<[^>]*>/g, " "),
  );
  const forms = Array.from(
    html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gis),
    ([, tag = "", content = ""]) => readForm(tag, content),
  );
  return { url, status, html, text: text.replaceAll(/\s+/g, " ").trim(), forms };
}

function readForm(tag: string, content: string): Form {
  const inputs = Array.from(
    content.matchAll(/<input\b([^>]*)>/gi),
    ([, attributes = ""]) => attributes,
  );
  const fields = new Map<string, string>();
  for (const input of inputs) {
    const name = attribute(input, "name");
    if (name !== undefined && attribute(input, "type") !== "submit") {
      fields.set(name, attribute(input, "value") ?? "");
    }
  }
  const buttons = Array.from(
    content.matchAll(/<button\b([^>]*)>(.*?)<\/button>/gis),
    ([, attributes = "", label = ""]) => ({
      label: decodeEntities(label.replaceAll(/<[^>]*>/g, "")).trim(),
      name: attribute(attributes, "name"),
      value: attribute(attributes, "value") ?? "",
    }),
  );
  return {
    action: attribute(tag, "action") ?? "",
    method: (attribute(tag, "method") ?? "get").toLowerCase(),
    fields,
    buttons,
  };
}

function attribute(tag: string, name: string): string | undefined {
  const match = new RegExp(`\\b${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, "i").exec(tag);
  const value = match?.[1] ?? match?.[2] ?? match?.[3];
  return value === undefined ? undefined : decodeEntities(value);
}

const entities: Readonly<Record<string, string>> = {
  amp: "&",
  apos: "'",
  gt: ">",
  lt: "<",
  nbsp: " ",
  quot: '"',
};

function decodeEntities(text: string): string {
  return text.replaceAll(/&(#x?[0-9a-f]+|[a-z]+);/gi, (whole, entity: string) => {
    if (entity.startsWith("#")) {
      const code = entity[1]?.toLowerCase() === "x" ? `0${entity.slice(1)}` : entity.slice(1);
      return String.fromCodePoint(Number(code));
    }
    return entities[entity] ?? whole;
  });
}
