// A real browser that fails the test when a page breaks a rule of its own: an error in its console,
// which is where a violated policy is told, or a request to another host.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { CHROMIUM, PICTURES } = process.env;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** A browser of its own, with nothing remembered; `options` are Playwright's. */
export async function open(base, options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "console-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    baseURL: base,
    viewport: { width: 1440, height: 900 },
    ...options,
  });
  context.setDefaultTimeout(20_000);
  const wrong = [];
  const page = context.pages()[0] ?? (await context.newPage());
  page.on("console", (said) => said.type() === "error" && wrong.push(said.text()));
  page.on("pageerror", (error) => wrong.push(`${error}`));
  page.on("dialog", (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== base && protocol !== "data:") wrong.push(`a request to ${request.url()}`);
  });
  /** What went wrong on the pages so far; statuses that a test asked for are no fault. */
  const isClean = (...expected) => {
    const left = wrong.filter((text) => !expected.some((status) => text.includes(`status of ${status}`)));
    wrong.length = 0;
    assert.deepEqual(left, []);
  };
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { page, context, isClean, close };
}

/** A picture of the page as it is. */
export async function picture(page, name, options = {}) {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), ...options });
}

/** Whether the page is wider than the window. */
export async function overflows(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
