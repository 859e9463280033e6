// HTML as values: what is put into a template is text unless it is HTML already.

export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** A template of HTML. SECURITY: every value is escaped, but for other templates; `undefined` is nothing. */
export function html(
  strings: TemplateStringsArray,
  ...values: readonly (Html | string | number | undefined)[]
): Html {
  return new Html(String.raw({ raw: strings }, ...values.map(escapeValue)));
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeValue(value: Html | string | number | undefined): string {
  if (value instanceof Html) {
    return value.toString();
  }
  return String(value ?? "").replaceAll(/[&<>"']/g, (character) => entities[character] ?? "");
}
