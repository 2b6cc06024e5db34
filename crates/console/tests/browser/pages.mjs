// What holds for every page: it has its picture, light and dark; axe-core finds nothing; it fits, from a
// phone to a wall.

import assert from "node:assert/strict";
import { test } from "node:test";
import { barriers, overflows, pictures, smallPicture } from "./browser.mjs";
import { json, stage } from "./stage.mjs";

/** Where each page is that takes no more than to be looked at. */
async function pages() {
  const [delivery] = (await json(`/deliveries?subscription_id=${stage.id}&status=delivered&limit=1`)).items;
  const own = `/console/subscriptions/${stage.id}`;
  return {
    subscriptions: "/console/subscriptions",
    "new-subscription": "/console/subscriptions/new",
    edit: `${own}/edit`,
    replay: `${own}/replay`,
    rotate: `${own}/rotate`,
    delete: `${own}/delete`,
    deliveries: "/console/deliveries",
    delivery: `/console/deliveries/${delivery.id}`,
    event: `/console/events/${delivery.event_id}`,
    "no-dead-letters": "/console/dead-letters",
    keys: "/console/keys",
    audit: "/console/audit",
    configuration: "/console/configuration",
    nothing: "/console/nothing",
    overview: "/",
    subscription: own,
  };
}

test("each page fits and has no barriers, light and dark, from a phone to a wall", async () => {
  const { page, isClean } = stage.browser;
  for (const [name, path] of Object.entries(await pages())) {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(path);
    // The story has taken these when there was more to see.
    if (name !== "overview" && name !== "subscription") await pictures(page, name);
    assert.deepEqual(await barriers(page), [], path);
    for (const width of [360, 768, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      assert.equal(await overflows(page), false, `${path} at ${width}`);
      if (width === 360) await smallPicture(page, name);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  isClean(404);
});

test("an attempt that failed tells where its time went, what came back, and the command", async () => {
  const { page, isClean } = stage.browser;
  const found = await json(`/deliveries?subscription_id=${stage.id}&failure=http_4xx&limit=1`);
  const failed = found.items[0] ?? (await wasRefused());
  await page.goto(`/console/deliveries/${failed.id}`);
  await page.getByRole("heading", { name: "Delivery to Acme heat alerts" }).waitFor();
  await page.locator(".waterfall .phase").first().waitFor();
  await page.getByText("What it answered").first().click();
  await page.locator("details[open]", { hasText: "no such sensor" }).first().waitFor();
  await page.getByText("What was sent").first().click();
  const sent = await page.locator("details[open]", { hasText: "webhook-id" }).first().innerText();
  assert.doesNotMatch(sent, /webhook-signature: v1,/);
  assert.match(await page.locator("#command").innerText(), /^curl --include/);
  assert.deepEqual(await barriers(page), []);
  await pictures(page, "delivery-failed");
  await page.setViewportSize({ width: 360, height: 800 });
  assert.equal(await overflows(page), false);
  await smallPicture(page, "delivery-failed");
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.locator("dl a.mono").click();
  await page.getByText('"city":').waitFor();
  await page.getByRole("heading", { name: "What became of it" }).waitFor();
  isClean();
});

/** A delivery that was refused once: what arrived in the end stands as delivered in the list. */
async function wasRefused() {
  const { items } = await json(`/deliveries?subscription_id=${stage.id}&limit=1000`);
  for (const it of items.filter(({ attempts_made }) => attempts_made > 1)) {
    const { attempts } = await json(`/deliveries/${it.id}`);
    if (attempts.some(({ status }) => status === 422)) return it;
  }
  // What was sent again counts its attempts anew.
  for (const it of items) {
    const { attempts } = await json(`/deliveries/${it.id}`);
    if (attempts.some(({ status }) => status === 422)) return it;
  }
  throw new Error("no delivery was refused");
}
