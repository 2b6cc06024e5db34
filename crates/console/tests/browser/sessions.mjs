// Who sees what: signing in and out, roles, and what is another's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { barriers, open, overflows, pictures, smallPicture } from "./browser.mjs";
import { KEY, json, post, stage } from "./stage.mjs";

async function signIn(page, key) {
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("one signs in with a key, makes another, and signs out", async () => {
  const { page, context, isClean, close } = await open(stage.locked);
  await page.goto("/console/subscriptions?q=acme");
  assert.deepEqual(await barriers(page), []);
  await pictures(page, "sign-in");
  await page.setViewportSize({ width: 360, height: 800 });
  assert.equal(await overflows(page), false);
  await smallPicture(page, "sign-in");
  await page.setViewportSize({ width: 1280, height: 800 });
  await signIn(page, "tw_live_wrong");
  await page.getByText("This key is not known").waitFor();
  await signIn(page, KEY);
  await page.getByRole("heading", { name: "Subscriptions" }).waitFor();
  assert.ok(page.url().endsWith("?q=acme"), page.url());
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  assert.ok(!cookie.value.includes(KEY));
  await page.goto("/console/keys");
  await page.getByLabel("Name", { exact: true }).fill("acme's");
  await page.getByLabel("Owner", { exact: true }).fill("acme");
  await page.getByRole("button", { name: "Make it" }).click();
  const key = await page.locator("#secret").innerText();
  assert.deepEqual(await barriers(page), []);
  await page.getByRole("link", { name: "To the keys" }).click();
  await page.locator("tr", { hasText: "acme's" }).waitFor();
  assert.ok(!(await page.content()).includes(key));
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto("/");
  await signIn(page, key);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  isClean(401);
  await close();
});

test("a subscriber sees their own, and nothing of anybody else", async () => {
  const { key } = await post("/api-keys", { name: "initech", role: "subscriber", owner: "initech" }, KEY);
  const own = await post("/subscriptions", { name: "Initech's own", url: stage.others.at }, key);
  const [delivery] = (await json(`/deliveries?subscription_id=${stage.id}&limit=1`)).items;
  const { page, isClean, close } = await open(stage.locked);
  await page.goto("/");
  await signIn(page, key);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  for (const name of ["Keys", "Audit"]) assert.equal(await page.getByRole("link", { name }).count(), 0);
  assert.equal(await page.getByText("Consumer lag").count(), 0);
  await page.goto("/console/subscriptions");
  await page.getByRole("link", { name: "Initech's own" }).waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1);
  await page.goto(`/console/subscriptions/${own.id}`);
  await page.getByRole("heading", { name: "Initech's own" }).waitFor();
  assert.deepEqual(await barriers(page), []);
  for (const path of [
    `/console/subscriptions/${stage.id}`,
    `/console/subscriptions/${stage.id}/edit`,
    `/console/subscriptions/${stage.id}/delete`,
    `/console/deliveries/${delivery.id}`,
    `/console/events/${delivery.event_id}`,
  ]) {
    const answer = await page.goto(path);
    assert.equal(answer.status(), 404, path);
    await page.getByText("There is no such thing here").waitFor();
  }
  const tail = await page.evaluate(async (id) => (await fetch(`/console/subscriptions/${id}/tail`)).status, stage.id);
  assert.equal(tail, 404);
  for (const path of ["/console/keys", "/console/audit", "/console/configuration"]) {
    assert.equal((await page.goto(path)).status(), 403, path);
    await page.getByText("Your key is not for this").waitFor();
  }
  isClean(404, 403);
  await close();
});

test("who may only look is told so when they act, and a key that is revoked ends the session", async () => {
  const asked = { name: "looks", role: "admin", scopes: ["read"] };
  const made = await post("/api-keys", asked, KEY);
  const { page, isClean, close } = await open(stage.locked);
  await page.goto(`/console/subscriptions/${stage.id}`);
  await signIn(page, made.key);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("Your key is not for this").waitFor();
  assert.equal((await json(`/subscriptions/${stage.id}`)).state, "active");
  const headers = { authorization: `Bearer ${KEY}` };
  await fetch(`${stage.locked}/api-keys/${made.id}`, { method: "DELETE", headers });
  await page.goto("/");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  isClean(403);
  await close();
});
