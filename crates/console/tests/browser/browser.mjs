// A real browser that fails the test when a page breaks a rule of its own: an error in its console,
// which is where a violated policy is told, or a request to another host.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
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
    viewport: { width: 1280, height: 800 },
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
  /** Forgets what went wrong, where that was the point. */
  const forget = () => (wrong.length = 0);
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { page, context, isClean, forget, close };
}

/** Pictures of the page as it is, light and dark. */
export async function pictures(page, name) {
  mkdirSync(PICTURES, { recursive: true });
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(PICTURES, `${name}-${colorScheme}.png`), fullPage: true });
  }
}

/** A picture of the page as it is on a phone. */
export async function smallPicture(page, name) {
  await page.screenshot({ path: join(PICTURES, `${name}-360.png`), fullPage: true });
}

/** What axe-core finds, in both colour schemes. */
export async function barriers(page) {
  const found = [];
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => window.axe.run());
    for (const { id, nodes } of violations) found.push(`${colorScheme} ${id}: ${nodes[0].html}`);
  }
  return found;
}

/** Whether the page is wider than the window. */
export async function overflows(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
