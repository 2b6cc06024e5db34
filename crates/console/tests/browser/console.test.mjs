// The console in a real browser, over real programs: a subscriber fails, the overview says so, its
// page says why, it recovers, and its dead letters are sent again. And what holds for every page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { open, overflows, picture } from "./browser.mjs";
import { freePort, start, stopAll, until } from "./programs.mjs";

const KEY = "an-admin-key-of-the-browser-test-0123456789";
const HOSTILE = `"'></td><script>alert(1)</script><img src=x onerror=alert(2)>`;

let base, locked, receiverPort, receiver, browser, id;

const local = (port) => `http://127.0.0.1:${port}`;

async function receive(args) {
  const listen = ["--listen", `127.0.0.1:${receiverPort}`, "--quiet", ...args];
  return start("webhook", listen, { ready: `${local(receiverPort)}/received` });
}

async function api(name, env) {
  const port = await freePort();
  await start("api", ["--listen", `127.0.0.1:${port}`], { name, env, ready: `${local(port)}/readyz` });
  return local(port);
}

async function json(path, options) {
  return (await fetch(`${base}${path}`, options)).json();
}

before(async () => {
  receiverPort = await freePort();
  base = await api("api", { AUTH: "off" });
  locked = await api("api-locked", { AUTH: "on", ADMIN_API_KEY: KEY });
  const [system, processor] = [await freePort(), await freePort()];
  const env = { RETRY_SCHEDULE: "1s,1s" };
  const [systemAt, processorAt] = [`127.0.0.1:${system}`, `127.0.0.1:${processor}`];
  await start("system", ["--rate", "20", "--admin-listen", systemAt], { ready: `${local(system)}/readyz` });
  await start("processor", ["--admin-listen", processorAt], { env, ready: `${local(processor)}/readyz` });
  receiver = await receive([]);
  browser = await open(base);
});

after(async () => {
  await browser?.close();
  stopAll();
});

test("an empty console says what to do next", async () => {
  const { page, isClean } = browser;
  await page.goto("/");
  await page.getByText("Nobody fails.").waitFor();
  await page.getByRole("link", { name: "subscribe an endpoint" }).click();
  await page.getByRole("heading", { name: "Subscribe" }).waitFor();
  isClean();
});

test("a form says at the field what is wrong, and shows the secret once", async () => {
  const { page, isClean } = browser;
  await page.goto("/console/subscriptions/new");
  await page.getByLabel("Name", { exact: true }).fill(`a hook ${HOSTILE}`.slice(0, 100));
  await page.getByLabel("Endpoint").fill(local(receiverPort));
  await page.getByLabel("Filter").fill("event.reading >");
  await page.getByRole("button", { name: "Subscribe" }).click();
  await page.locator("#filter-wrong").waitFor();
  await page.getByLabel("Filter").fill("event.reading > -300.0");
  await page.getByRole("button", { name: "Try it on the last events" }).click();
  await page.getByText("would have been delivered").waitFor();
  await page.getByRole("button", { name: "Subscribe" }).click();
  assert.match(await page.locator("#secret").innerText(), /^whsec_/);
  await page.getByRole("link", { name: "To the subscription" }).click();
  id = page.url().split("/").pop();
  isClean(422);
});

test("deliveries show up while one looks", async () => {
  const { page, isClean } = browser;
  await page.goto(`/console/subscriptions/${id}`);
  await page.evaluate(() => (window.wasNotLoadedAgain = true));
  await page.locator("#latest-deliveries tbody tr").nth(4).waitFor();
  assert.equal(await page.evaluate(() => window.wasNotLoadedAgain), true);
  isClean();
});

test("a test event tells the verdict and the phases", async () => {
  const { page, isClean } = browser;
  await page.goto(`/console/subscriptions/${id}`);
  await page.getByRole("button", { name: "Send a test event" }).click();
  await page.getByText("It was delivered.").waitFor();
  await page.locator(".waterfall .phase").first().waitFor();
  isClean();
});

test("who fails is on the overview, and the page says why", async () => {
  const { page, isClean } = browser;
  await receiver.stop();
  await page.goto("/");
  await page.getByText("One subscription fails.").waitFor({ timeout: 60_000 });
  await page.locator('[data-part="failing"] .list').getByRole("link").first().click();
  await page.getByText("connection refused").first().waitFor();
  await page.getByText(/Failing since .*Held back/s).waitFor({ timeout: 60_000 });
  isClean();
});

test("once it is back it catches up, and dead letters are sent again", async () => {
  const { page, isClean } = browser;
  receiver = await receive(["--status", "422"]);
  const dead = () => json(`/dlqs?subscription_id=${id}&limit=5`);
  await until("dead letters", async () => (await dead()).items.length > 2, 120_000);
  await page.goto(`/console/dead-letters?subscription_id=${id}`);
  await page.getByText("refused (4xx), retries used up").waitFor();
  await receiver.stop();
  receiver = await receive([]);
  await until("the circuit to close", async () => {
    const { circuit, held_back } = await json(`/subscriptions/${id}`);
    return circuit.state === "closed" && held_back === null;
  }, 120_000);
  await until("all dead letters to be sent again", async () => {
    await page.goto(`/console/dead-letters?subscription_id=${id}`);
    const all = page.getByRole("button", { name: /^Send all/ });
    if (await all.count()) {
      await all.first().click();
      await page.getByText(/on (its|their) way again/).waitFor();
    }
    return (await dead()).items.length === 0;
  }, 120_000);
  await page.goto("/");
  await page.getByText("All is well").waitFor({ timeout: 60_000 });
  isClean();
});

test("what others wrote is text, and one delivery tells its attempts", async () => {
  const { page, isClean } = browser;
  await page.goto(`/console/deliveries?subscription_id=${id}`);
  await page.locator("tbody a.mono").first().click();
  await page.getByRole("heading", { name: /^Delivery to a hook "'/ }).waitFor();
  assert.match(await page.locator("#command").innerText(), /^curl --include/);
  await page.locator("dl a.mono").click();
  await page.getByText('"city":').waitFor();
  isClean();
});

test("without JavaScript every page reads, and acts", async () => {
  const { page, isClean, close } = await open(base, { javaScriptEnabled: false });
  for (const path of ["/", "/console/subscriptions", `/console/subscriptions/${id}`, "/console/deliveries"]) {
    await page.goto(path);
    assert.ok((await page.locator("h1").innerText()).length > 3, path);
  }
  await page.goto(`/console/subscriptions/${id}`);
  assert.equal(await page.locator(".chart .hit").count() > 50, true);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("It is paused.").waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("It is resumed").waitFor();
  isClean();
  await close();
});

test("one signs in with a key, and out", async () => {
  const { page, context, isClean, close } = await open(locked);
  await page.goto("/console/subscriptions");
  await page.getByLabel("API key").fill("tw_live_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This key is not known").waitFor();
  await page.getByLabel("API key").fill(KEY);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Subscriptions" }).waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  assert.ok(!cookie.value.includes(KEY));
  await page.goto("/console/keys");
  await page.getByLabel("Name", { exact: true }).fill("acme's");
  await page.getByLabel("Owner", { exact: true }).fill("acme");
  await page.getByRole("button", { name: "Make it" }).click();
  const key = await page.locator("#secret").innerText();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Keys" }).count(), 0);
  await page.goto(`/console/subscriptions/${id}`);
  await page.getByText("There is no such thing here").waitFor();
  isClean(401, 404);
  await close();
});

test("a page of another site moves nothing", async () => {
  const { page, close } = await open(base);
  await page.setContent(`<form method="post" action="${base}/console/subscriptions/${id}/pause"><button>x</button></form>`);
  await page.getByRole("button").click();
  await page.getByText("was not sent by a page of the console").waitFor();
  assert.equal((await json(`/subscriptions/${id}`)).state, "active");
  await close();
});

test("each page has its picture, light and dark, and fits on a phone", async () => {
  const pages = {
    overview: "/",
    subscriptions: "/console/subscriptions",
    subscription: `/console/subscriptions/${id}`,
    deliveries: "/console/deliveries",
    "dead-letters": "/console/dead-letters",
    keys: "/console/keys",
    audit: "/console/audit",
    "new-subscription": "/console/subscriptions/new",
  };
  const { page, isClean } = browser;
  for (const [name, path] of Object.entries(pages)) {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto(path);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await picture(page, `${name}-${colorScheme}`, { fullPage: true });
    }
    await page.emulateMedia({ colorScheme: "light" });
    for (const width of [360, 768, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      assert.equal(await overflows(page), false, `${path} at ${width}`);
      if (width === 360) await picture(page, `${name}-360`, { fullPage: true });
    }
  }
  isClean();
});
