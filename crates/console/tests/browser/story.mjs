// The whole story: somebody subscribes, their receiver fails, the overview says so, its page says why,
// it recovers and catches up, it refuses some, which are sent again, and in the end all has arrived.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { barriers, overflows, pictures } from "./browser.mjs";
import { json, post, publish, publishAll, stage } from "./stage.mjs";
import { until } from "./programs.mjs";

/** How long what a circuit, a schedule or a fold of the statistics decides may take. */
const SLOW = { timeout: 120_000 };

/** Who publishes, and since when. */
let system, began;

/** When the event of that id was made: a UUIDv7 says. */
const madeAt = (id) => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);

test("an empty console says what to do next", async () => {
  const { page, isClean } = stage.browser;
  await page.goto("/");
  await page.getByText("Nobody fails.").waitFor();
  await page.getByRole("link", { name: "subscribe an endpoint" }).click();
  await page.getByRole("heading", { name: "Subscribe" }).waitFor();
  isClean();
});

test("a form says at the field what is wrong, and shows the secret once", async () => {
  const { page, isClean } = stage.browser;
  await page.goto("/console/subscriptions/new");
  await page.getByLabel("Name", { exact: true }).fill("Acme heat alerts");
  await page.getByLabel("Endpoint").fill(stage.receiver.at);
  await page.getByLabel("Filter").fill("event.reading >");
  await page.getByRole("button", { name: "Subscribe" }).click();
  await page.locator("#filter-wrong").waitFor();
  await page.getByLabel("Filter").fill("event.reading > -300.0");
  await page.getByRole("button", { name: "Try it on the last events" }).click();
  await page.locator("#preview strong", { hasText: "300" }).waitFor();
  await pictures(page, "preview");
  await page.getByRole("button", { name: "Subscribe" }).click();
  assert.match(await page.locator("#secret").innerText(), /^whsec_/);
  for (const language of ["Python", "JavaScript", "Go", "Rust"]) {
    assert.equal(await page.locator("summary", { hasText: language }).count(), 1, language);
  }
  assert.deepEqual(await barriers(page), []);
  await page.getByRole("button", { name: "Copy" }).click();
  await page.getByText("Copied").waitFor();
  await page.getByRole("link", { name: "To the subscription" }).click();
  stage.id = page.url().split("/").pop();
  isClean(422);
});

test("deliveries show up while one looks", async () => {
  const { page, isClean } = stage.browser;
  await post("/subscriptions", { name: "Northwind dashboards", url: `${stage.others.at}/northwind`, owner: "northwind" });
  const cities = ["Tokyo", "Berlin", "Lagos"];
  await post("/subscriptions", { name: "Globex cold chain", url: `${stage.others.at}/globex`, owner: "globex", cities });
  await page.goto(`/console/subscriptions/${stage.id}`);
  await page.evaluate(() => (window.wasNotLoadedAgain = true));
  await publishAll(["--count", "60", "--rate", "20"]);
  await page.locator("#latest-deliveries tbody tr").nth(4).waitFor();
  assert.equal(await page.evaluate(() => window.wasNotLoadedAgain), true);
  isClean();
  began = Date.now();
  system = await publish(20);
});

test("a test event tells the verdict and the phases", async () => {
  const { page, isClean } = stage.browser;
  await page.goto(`/console/subscriptions/${stage.id}`);
  await page.getByRole("button", { name: "Send a test event" }).click();
  await page.getByText("It was delivered.").waitFor();
  await page.locator(".waterfall .phase").first().waitFor();
  assert.deepEqual(await barriers(page), []);
  isClean();
});

test("who fails is on the overview, and the page says why", async () => {
  const { page, isClean } = stage.browser;
  await stage.receiver.leave();
  await page.goto("/");
  await page.getByText("One subscription fails.").waitFor(SLOW);
  await page.locator("section.tiles .tile.bad", { hasText: "Circuits open" }).waitFor(SLOW);
  await page.goto("/?range=15m");
  await pictures(page, "overview-failing");
  await page.locator('[data-part="failing"] .list').getByRole("link", { name: "Acme heat alerts" }).click();
  await page.getByText("connection refused").first().waitFor();
  await page.getByText(/Failing since .*Held back.*Will be disabled in/s).waitFor(SLOW);
  await page.getByText("What to do: nobody listens there").waitFor();
  await page.locator(".timeline", { hasText: "Circuit opened: connection refused" }).waitFor();
  assert.deepEqual(await barriers(page), []);
  await page.goto(`/console/subscriptions/${stage.id}?range=15m`);
  await pictures(page, "subscription-failing");
  isClean();
});

test("a change of the policy is in force, and who changed it is told", async () => {
  const { page, isClean } = stage.browser;
  await page.goto(`/console/subscriptions/${stage.id}`);
  await page.getByRole("link", { name: "Change", exact: true }).click();
  await page.getByLabel("Deliveries a second at most").fill("60");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The changes are saved").waitFor();
  await page.locator(".facts", { hasText: "60 a second" }).waitFor();
  await page.locator(".timeline li", { hasText: "Changed" }).waitFor();
  isClean();
});

test("once it is back, that it catches up is seen", async () => {
  const { page, isClean } = stage.browser;
  await page.goto(`/console/subscriptions/${stage.id}`);
  // In flight are sixteen at most: with a second for each it falls behind, until that was seen.
  stage.receiver.answers(async () => {
    await pause(1_000);
    return { status: 204 };
  });
  await stage.receiver.listen();
  await page.getByText("It is catching up.").waitFor(SLOW);
  await pictures(page, "subscription-catching-up");
  stage.receiver.answers({ status: 204 });
  await page.locator(".timeline", { hasText: "Circuit closed" }).waitFor(SLOW);
  await page.locator(".timeline", { hasText: "Caught up" }).waitFor(SLOW);
  await page.locator(".health.good, .health.fair").getByText(/succeeded/).waitFor(SLOW);
  isClean();
});

test("what is refused for good becomes dead letters, by cause", async () => {
  const { page, isClean } = stage.browser;
  stage.receiver.answers({ status: 422, body: "no such sensor" });
  const dead = () => json(`/dlqs?subscription_id=${stage.id}&limit=1000`);
  await until("dead letters", async () => (await dead()).items.length > 2, 120_000);
  await page.goto(`/console/dead-letters?subscription_id=${stage.id}`);
  await page.getByText("retries used up").first().waitFor();
  assert.deepEqual(await barriers(page), []);
  await pictures(page, "dead-letters");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download as NDJSON" }).click(),
  ]);
  const lines = (await (await download.createReadStream()).toArray()).join("").trim().split("\n");
  assert.ok(lines.length > 2);
  for (const line of lines) assert.equal(JSON.parse(line).subscription_id, stage.id);
  await page.getByRole("link", { name: "Look at them" }).first().click();
  await page.getByRole("checkbox").nth(2).waitFor();
  assert.deepEqual(await barriers(page), []);
  assert.equal(await overflows(page), false);
  await pictures(page, "dead-letter-group");
  isClean();
});

test("dead letters are sent again, until none is left", async () => {
  const { page, isClean } = stage.browser;
  stage.receiver.answers({ status: 204 });
  await page.goto("/console/dead-letters");
  const all = page.getByRole("button", { name: /^Send all/ });
  for (let first = true; (await all.count()) > 0; first = false) {
    await all.first().click();
    await page.getByRole("heading", { name: /have arrived|has arrived/ }).waitFor(SLOW);
    if (first) {
      assert.deepEqual(await barriers(page), []);
      await pictures(page, "sent-again");
    }
    await page.locator(".actions").getByRole("link", { name: "Dead letters" }).click();
    await page.getByRole("heading", { name: "Dead letters" }).waitFor();
  }
  await page.getByText("There is none.").waitFor();
  await page.goto("/");
  await page.getByText("All is well").waitFor(SLOW);
  isClean();
});

test("a stretch of time is counted, sent again, and seen to go on", async () => {
  const { page, isClean } = stage.browser;
  await page.goto(`/console/subscriptions/${stage.id}`);
  await page.getByRole("link", { name: "Replay" }).click();
  // No earlier than the topic goes back, and to the second.
  await page.getByLabel("Since (UTC)").fill(new Date(began + 1_000).toISOString().slice(0, 19));
  await page.getByLabel("Deliveries a second at most").fill("1");
  await page.getByRole("button", { name: "How much would that be?" }).click();
  await page.getByText(/It would send/).waitFor();
  assert.deepEqual(await barriers(page), []);
  await page.getByRole("button", { name: "Begin the replay" }).click();
  await page.getByText("The replay has begun.").waitFor();
  await page.locator(".replays", { hasText: "running" }).locator("progress").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.locator(".replays", { hasText: "cancelled" }).waitFor();
  isClean();
});

test("in the end all has arrived", async () => {
  await pictureOfNow();
  await system.stop();
  const asked = { since: new Date(began).toISOString(), dry_run: true };
  const { matching, exact } = await post(`/subscriptions/${stage.id}/replay`, asked);
  assert.equal(exact, true);
  assert.ok(matching > 500, `${matching}`);
  const arrived = () => [...stage.receiver.taken].filter((id) => madeAt(id) >= began).length;
  await until(`all ${matching} to arrive`, () => arrived() >= matching, 120_000);
  assert.equal(arrived(), matching);
});

/** The charts have something to show while events come in. */
async function pictureOfNow() {
  const { page } = stage.browser;
  await page.goto("/?range=15m");
  await pictures(page, "overview");
  await page.goto(`/console/subscriptions/${stage.id}?range=15m`);
  await pictures(page, "subscription");
}
