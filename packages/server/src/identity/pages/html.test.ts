import { expect, test } from "vitest";
import { html } from "./html.ts";

test("values are text, templates are HTML, undefined is nothing", () => {
  const evil = `<img src=x onerror="alert('1')">&`;
  expect(html`<p title="${evil}">${html`<b>${1}</b>`}${undefined}</p>`.toString()).toBe(
    `<p title="&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;"><b>1</b></p>`,
  );
});
