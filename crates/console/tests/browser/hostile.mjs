// What others wrote is text: each field of a form, an event, and what a receiver answers.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { barriers, overflows } from "./browser.mjs";
import { HOSTILE, json, publishAll, repeat, stage } from "./stage.mjs";
import { until } from "./programs.mjs";

/** Escape sequences of terminals, and what turns the direction of text. */
const ODD = "\u001b[31mred\u001b[0m \u202Eevil\u202C";

let id;

/** A recording of readings of one city, each twentieth of which is of a city of that name. */
function recording(name, other) {
  const quoted = `"${other.replaceAll('"', '""')}"`;
  const at = new Date().toISOString();
  const rows = Array.from({ length: 60 }, (_, row) => `${at},${row % 20 === 10 ? quoted : "Plain"},${row},C`);
  const path = join(process.env.LOGS, `${name}.csv`);
  writeFileSync(path, ["timestamp,city,reading,unit", ...rows, ""].join("\n"));
  return path;
}

/** Asserts that a page shows it as text, and has no element that it would have made. */
async function isText(page, path, { shown = true } = {}) {
  await page.goto(path);
  const inserted = await page.evaluate(() => document.querySelectorAll('img[src="x"], script:not([src])').length);
  assert.equal(inserted, 0, path);
  if (shown) assert.ok((await page.locator("body").innerText()).includes(HOSTILE), path);
  assert.equal(await overflows(page), false, path);
}

test("every text field of the form may hold markup", async () => {
  const { page, isClean } = stage.browser;
  await page.goto("/console/subscriptions/new");
  for (const [label, text] of Object.entries({
    Name: HOSTILE,
    // A URL has no spaces.
    Endpoint: `${stage.others.at}/${HOSTILE.replaceAll(" ", "+")}`,
    Description: HOSTILE,
    Owner: HOSTILE,
    Cities: `${HOSTILE}\nPlain`,
    // Secrets differ from what a receiver answers, where they would be redacted.
    "Further headers": `x-more: ${HOSTILE}!`,
    Filter: `event.city != ${JSON.stringify(`${HOSTILE}!`)}`,
  })) await page.getByLabel(label, { exact: true }).fill(text);
  await page.getByLabel("By", { exact: true }).selectOption("header");
  await page.getByLabel("Header", { exact: true }).fill("x-hostile");
  await page.getByLabel("Value", { exact: true }).fill(`${HOSTILE}?`);
  await page.getByRole("button", { name: "Subscribe" }).click();
  await page.getByRole("link", { name: "To the subscription" }).click();
  await page.getByRole("heading", { name: HOSTILE }).waitFor();
  id = page.url().split("/").pop();
  isClean();
});

test("an event, and what a receiver answers, may too", async () => {
  const { page, isClean } = stage.browser;
  // Only what is of that city is refused, so that the circuit stays closed.
  stage.others.answers((body) =>
    body.includes("onerror")
      ? { status: 500, headers: { "x-answer": HOSTILE }, body: `${HOSTILE}${ODD}` }
      : { status: 204 },
  );
  await publishAll(["--replay", recording("hostile", HOSTILE), "--rate", "20"]);
  const dead = async () => (await json(`/dlqs?subscription_id=${id}&limit=10`)).items;
  await until("dead letters", async () => (await dead()).length >= 3);
  const [{ event_id }] = await dead();
  const { deliveries } = await json(`/events/${event_id}`);
  const delivery = deliveries.find(({ subscription_id }) => subscription_id === id);
  const q = encodeURIComponent(HOSTILE);
  const own = `/console/subscriptions/${id}`;
  await isText(page, "/", { shown: false });
  for (const path of [
    `/console/subscriptions?q=${encodeURIComponent(HOSTILE.slice(0, 12))}`, own, `${own}/replay`, `${own}/rotate`, `${own}/delete`,
    `/console/deliveries?city=${q}`, `/console/deliveries/${delivery.id}`, `/console/events/${event_id}`,
    `/console/dead-letters?subscription_id=${id}`, `/console/audit?object_id=${id}`,
  ]) await isText(page, path, { shown: !path.startsWith("/console/audit") });
  for (const path of [`${own}/edit`, `/console/audit?who=${q}`, `/console/deliveries?failure=${q}&since=${q}`,
    `/console/dead-letters?last_error=${q}`, `/console/dead-letters?reason=malformed&last_error=${q}`, `/?range=${q}`, `${own}?range=${q}&done=${q}`,
  ]) await isText(page, path, { shown: false });
  isClean();
});

test("the response that was kept is text, escape sequences and all", async () => {
  const { page, isClean } = stage.browser;
  const { items } = await json(`/deliveries?subscription_id=${id}&status=dead&limit=1`);
  await page.goto(`/console/deliveries/${items[0].id}`);
  await page.getByText("What it answered").first().click();
  const answered = await page.locator("details[open]").first().innerText();
  assert.ok(answered.includes(HOSTILE), answered);
  assert.ok(!/[\u001b\u202E]/.test(answered), "what steers a terminal or turns text is shown by its name");
  assert.deepEqual(await barriers(page), []);
  isClean();
});

test("what fails again when it is sent again is told, one by one", async () => {
  const { page, isClean } = stage.browser;
  // What succeeds meanwhile keeps the circuit closed, so that nothing waits for a probe.
  const plain = await repeat(recording("plain", "Plain"), 20);
  const failing = async () => (await json(`/subscriptions/${id}`)).circuit.failing_since;
  await until("a success", async () => (await failing()) === null);
  await page.goto(`/console/dead-letters?subscription_id=${id}`);
  await page.getByRole("link", { name: "Look at them" }).click();
  await page.getByRole("checkbox").nth(0).check();
  await page.getByRole("checkbox").nth(1).check();
  await page.getByRole("button", { name: "Send the selected again" }).click();
  await page.getByRole("heading", { name: "2 of 2 failed again." }).waitFor({ timeout: 60_000 });
  assert.equal(await page.locator("#failed tbody tr").count(), 2);
  assert.deepEqual(await barriers(page), []);
  stage.others.answers({ status: 204 });
  await page.goto(`/console/dead-letters?subscription_id=${id}`);
  await page.getByRole("button", { name: /^Send all/ }).click();
  await page.getByRole("heading", { name: "All 3 have arrived." }).waitFor({ timeout: 60_000 });
  await plain.stop();
  isClean();
});
