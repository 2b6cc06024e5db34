// What holds however one looks: a stream that is dropped is taken up again, no script is needed, and no
// other site acts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "./browser.mjs";
import { json, publishAll, stage } from "./stage.mjs";
import { until } from "./programs.mjs";

test("a stream that is dropped is taken up again", async () => {
  const { page, forget } = stage.browser;
  await page.goto(`/console/subscriptions/${stage.id}`);
  await page.evaluate(() => (window.wasNotLoadedAgain = true));
  const stale = page.locator("html.is-stale");
  await stage.opened.running.stop();
  await stale.waitFor({ state: "attached" });
  stage.opened.running = await stage.opened.begin();
  await stale.waitFor({ state: "detached" });
  const newest = page.locator("#latest-deliveries tbody a.mono").first();
  const before = await newest.innerText();
  await publishAll(["--count", "20", "--rate", "20"]);
  await until("a delivery after that", async () => (await newest.innerText()) !== before);
  assert.equal(await page.evaluate(() => window.wasNotLoadedAgain), true);
  // That the service was away is in the browser's console, as it should be.
  forget();
});

test("without JavaScript every page reads, and acts", async () => {
  const { page, isClean, close } = await open(stage.base, { javaScriptEnabled: false });
  const own = `/console/subscriptions/${stage.id}`;
  for (const path of ["/", "/console/subscriptions", own, `${own}/edit`, "/console/deliveries",
    "/console/dead-letters", "/console/keys", "/console/audit", "/console/configuration"]) {
    await page.goto(path);
    assert.ok((await page.locator("h1").innerText()).length > 3, path);
  }
  await page.goto(own);
  assert.ok((await page.locator(".chart .hit").count()) > 50);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("It is paused.").waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("It is resumed").waitFor();
  isClean();
  await close();
});

test("by keyboard alone one gets to the contents, and sees where one is", async () => {
  const { page, isClean } = stage.browser;
  await page.goto("/console/subscriptions");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the contents" });
  assert.equal(await skip.evaluate((link) => link === document.activeElement), true);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const focused = page.locator(":focus-visible");
  assert.equal(await focused.innerText(), "Subscribe an endpoint");
  const outline = await focused.evaluate((it) => getComputedStyle(it).outlineStyle);
  assert.notEqual(outline, "none");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Subscribe" }).waitFor();
  isClean();
});

test("a page of another site moves nothing", async () => {
  const { page, close } = await open(stage.base);
  const action = `${stage.base}/console/subscriptions/${stage.id}/pause`;
  await page.setContent(`<form method="post" action="${action}"><button>x</button></form>`);
  await page.getByRole("button").click();
  await page.getByText("was not sent by a page of the console").waitFor();
  assert.equal((await json(`/subscriptions/${stage.id}`)).state, "active");
  await close();
});

test("a removal asks for the name", async () => {
  const { page, isClean } = stage.browser;
  const { items } = await json("/subscriptions?limit=10");
  const { id } = items.find(({ name }) => name === "Globex cold chain");
  await page.goto(`/console/subscriptions/${id}/delete`);
  await page.getByLabel("Its name, to be sure").fill("Globex");
  await page.getByRole("button", { name: "Remove it" }).click();
  await page.getByText("That is not its name.").waitFor();
  await page.getByLabel("Its name, to be sure").fill("Globex cold chain");
  await page.getByRole("button", { name: "Remove it" }).click();
  await page.getByText("The subscription is removed.").waitFor();
  assert.equal((await fetch(`${stage.base}/subscriptions/${id}`)).status, 404);
  isClean(422);
});
