// Ten thousand subscriptions are no strain.

import assert from "node:assert/strict";
import { test } from "node:test";
import { post, stage } from "./stage.mjs";
import { weight } from "./weight.mjs";

const MANY = 10_000;

/** What a page may weigh, with all that it needs. */
const MOST = 150_000;

test("ten thousand subscriptions are no strain", async () => {
  const { page, isClean } = stage.browser;
  const numbers = Array.from({ length: MANY }, (_, at) => at);
  const worker = async () => {
    for (let number = numbers.pop(); number !== undefined; number = numbers.pop()) {
      const url = `${stage.others.at}/${number}`;
      await post("/subscriptions", { name: `number ${number}`, url, cities: ["Nowhere"] });
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  for (const path of ["/console/subscriptions", "/console/subscriptions?q=number+77", "/"]) {
    await page.goto(path);
    const { bytes } = await weight(stage.base, path);
    assert.ok(bytes < MOST, `${path}: ${bytes}`);
  }
  await page.goto("/console/subscriptions?q=number+7777");
  await page.getByText("One fits.").waitFor();
  await page.goto("/console/subscriptions");
  await page.getByRole("link", { name: "Next" }).click();
  await page.getByText("51 to 100").waitFor();
  isClean();
});
