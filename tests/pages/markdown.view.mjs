// Markdown in replies: its elements, HTML that stays text, links, and texts that are slow to parse.
import assert from "node:assert/strict";

const MARKDOWN = `# Title

A **bold** and *slanted* \`code\` with <img src=x onerror="document.title='bad'"> and snake_case_name.
Links: [good](https://example.org/a_(b)), [bad](javascript:alert(1)), https://example.org/bare.

![a picture](https://example.org/picture.png)

1. one
   - nested
2. two

> quoted

| a | b |
| --- | ---: |
| 1 | x \\| y |

\`\`\`js
if (1 < 2) { "<b>" }
\`\`\`
`;

async function markdown({ page, url, checkWidths }) {
  await page.goto(`${url}playground#chat`);
  await page.waitForSelector(".composer");
  await page.evaluate((text) => {
    const turns = [
      { role: "user", text: "<b>not bold</b>", pictures: [] },
      { role: "assistant", text, reasoning: "", toolCalls: [], model: "m" },
    ];
    // Stored after the page has stored its own.
    addEventListener("pagehide", () => sessionStorage.setItem("triptych.playground.chat", JSON.stringify(turns)));
  }, MARKDOWN);
  await page.reload();
  const reply = page.locator(".turn-reply .markdown");
  await reply.waitFor();
  await checkWidths("chat-markdown");
  const tags = await reply.evaluate((element) => [...element.children].map((child) => child.tagName + child.className));
  assert.deepEqual(tags, ["H4", "P", "P", "OL", "BLOCKQUOTE", "DIVtable-wrap", "DIVcode"]);
  assert.equal(await reply.locator("img, script, b").count(), 0);
  assert.equal(await page.locator(".turn-user b").count(), 0);
  assert.notEqual(await page.title(), "bad");
  const links = await reply.locator("a").evaluateAll((all) => all.map(({ href, rel }) => [href, rel]));
  assert.deepEqual(links, [
    ["https://example.org/a_(b)", "noopener noreferrer"],
    ["https://example.org/bare", "noopener noreferrer"],
    ["https://example.org/picture.png", "noopener noreferrer"],
  ]);
  assert.match(await reply.textContent(), /<img src=x onerror.*snake_case_name[\s\S]*\[bad\]\(javascript:alert\(1\)\)/);
  assert.deepEqual(await reply.locator("strong, em, p code").allTextContents(), ["bold", "slanted", "code"]);
  assert.equal(await reply.locator("ol > li").count(), 2);
  assert.equal(await reply.locator("ol > li > ul > li").count(), 1);
  assert.deepEqual(await reply.locator("td").allTextContents(), ["1", "x | y"]);
  // Texts that are slow to parse for patterns that backtrack.
  const slowest = await page.evaluate(async () => {
    const { markdownView } = await import(
      document.querySelector("script[type=module]").src.replace(/playground.*/, "markdown.js")
    );
    const spaces = " ".repeat(15_000);
    const texts = [
      `# a${spaces}b`,
      `a|b\n-${spaces}x`,
      `\`\`\`${spaces}\``,
      `${spaces}x\ny`,
      "**a".repeat(6000),
      "[a](".repeat(4000),
    ];
    texts.push(
      "`".repeat(15_000),
      ">".repeat(5000),
      `- a${"\n".repeat(5000)}  b`,
      "<http://".repeat(2000),
      "~~a ".repeat(4000),
    );
    const times = texts.map((text) => {
      const start = performance.now();
      markdownView().show(text);
      return performance.now() - start;
    });
    return Math.max(...times);
  });
  assert.ok(slowest < 5000, `a text takes ${slowest} ms`);
  await reply.locator(".code-copy").click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'if (1 < 2) { "<b>" }');
}

export default [{ title: "Markdown is rendered without HTML", test: markdown }];
