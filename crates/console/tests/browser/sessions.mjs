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

/** Signs in on the provider's own pages. */
async function signInThere(page, name) {
  await page.getByRole("link", { name: "Sign in with your organisation" }).click();
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
}

test("one signs in by the provider, comes back to the page one wanted, and is out after signing out", async () => {
  const { page, context, forget, close } = await open(stage.locked);
  await page.goto("/console/subscriptions?q=acme");
  await signInThere(page, "umbrella");
  await page.getByRole("heading", { name: "Subscriptions" }).waitFor();
  assert.ok(page.url().endsWith("?q=acme"), page.url());
  assert.equal(await page.getByRole("link", { name: "Keys" }).count(), 0);
  const kept = (await context.cookies(stage.locked)).filter(({ name }) => name.startsWith("console"));
  assert.deepEqual(kept.map(({ name, sameSite }) => [name, sameSite]), [["console", "Strict"]]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  // A copy of the cookie is good for nothing any more.
  await context.addCookies(kept);
  await page.goto("/console/subscriptions");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  forget();
  await close();
});

test("an admin of the provider is an admin here, and sees who is signed in", async () => {
  const { page, isClean, forget, close } = await open(stage.locked);
  await page.goto("/");
  await signInThere(page, "root");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  // That the browser was at the provider is no fault here.
  forget();
  await page.goto("/console/keys?kind=session");
  const own = page.locator("tr", { hasText: "oidc:root" });
  await own.waitFor();
  assert.deepEqual(await barriers(page), []);
  await pictures(page, "sessions");
  await own.getByText("Revoke", { exact: true }).click();
  await own.getByRole("button", { name: "Yes, revoke oidc:root" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  isClean();
  await close();
});

test("who comes back with what was not begun here stays outside", async () => {
  const { page, isClean, close } = await open(stage.locked);
  await page.goto("/console/sign-in/callback?code=stolen&state=guessed");
  await page.getByText("begun in another browser").waitFor();
  await page.goto("/console/sign-in/callback?error=access_denied");
  await page.getByText("the provider did not let you in").waitFor();
  isClean(403);
  await close();
});

test("a link signs its owner's people in once, with a script or without", async () => {
  const made = async () => (await post("/portal-links", { owner: "initech" }, KEY)).url;
  const first = await made();
  const { page, isClean, close } = await open(stage.locked);
  await page.goto(`${first}&next=%2Fconsole%2Fsubscriptions`);
  await page.getByRole("link", { name: "Initech's own" }).waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1);
  // Who is signed in is asked, and not moved without knowing.
  await page.goto((await post("/portal-links", { owner: "hooli" }, KEY)).url);
  await page.getByText("You are signed in already").waitFor();
  await page.goto("/console/subscriptions");
  await page.getByRole("link", { name: "Initech's own" }).waitFor();
  await page.goto((await post("/portal-links", { owner: "hooli" }, KEY)).url);
  await page.getByText("You are signed in already").waitFor();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto("/console/subscriptions");
  assert.equal(await page.getByRole("link", { name: "Initech's own" }).count(), 0);
  isClean();
  await close();
  const plain = await open(stage.locked, { javaScriptEnabled: false });
  await plain.page.goto(first);
  await plain.page.getByRole("button", { name: "Continue" }).click();
  await plain.page.getByText("this link was used already").waitFor();
  await plain.page.goto(await made());
  await plain.page.setViewportSize({ width: 360, height: 800 });
  await smallPicture(plain.page, "portal");
  await plain.page.getByRole("button", { name: "Continue" }).click();
  await plain.page.getByRole("heading", { name: "Overview" }).waitFor();
  plain.isClean(403);
  await plain.close();
});

test("an admin makes a link on the page of keys", async () => {
  const { page, isClean, close } = await open(stage.locked);
  await page.goto("/console/keys");
  await signIn(page, KEY);
  await page.getByLabel("For owner").fill("initech");
  await page.getByRole("button", { name: "Make a link" }).click();
  await page.getByRole("heading", { name: "The link is made" }).waitFor();
  const url = await page.locator("#secret").innerText();
  assert.ok(url.startsWith(`${stage.locked}/console/portal?link=tw_link_`), url);
  assert.deepEqual(await barriers(page), []);
  isClean();
  await close();
});
