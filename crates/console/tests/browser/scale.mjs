// Ten thousand subscriptions are no strain, nor are more dead letters than a list shows.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { json, post, stage } from "./stage.mjs";
import { until } from "./programs.mjs";
import { weight } from "./weight.mjs";

const MANY = 10_000;

/** More dead letters than a page of the API has. */
const LETTERS = 1_500;

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

/** Writes dead letters, each of another event, as if each had failed. */
function fail(id) {
  const sql = `INSERT INTO dead_letters (subscription_id, topic, partition, event_offset, event_id, payload,
                   content_type, reason, attempts, last_status, last_error)
    SELECT '${id}', 'updates', at % 12, 1000000 + at, 'written-' || at,
           convert_to('{"id":"written-' || at || '","type":"temperature.updated","city":"Nowhere","reading":1,'
             || '"unit":"C","timestamp":"' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
             || '"}', 'UTF8'), 'application/json', 'exhausted', 3, 500, 'http_5xx'
    FROM generate_series(1, ${LETTERS}) AS at;`;
  const { status, stderr } = spawnSync("scripts/infra", ["--instance", "test", "psql"], { input: sql });
  assert.equal(status, 0, `${stderr}`);
}

test("more dead letters than a list shows are sent again by one click, and arrive", async () => {
  const { page, isClean } = stage.browser;
  const url = `${stage.others.at}/letters`;
  const { id } = await post("/subscriptions", { name: "a long outage", url, cities: ["Elsewhere"] });
  fail(id);
  await page.goto(`/console/dead-letters?subscription_id=${id}`);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download as NDJSON" }).click(),
  ]);
  const text = (await (await download.createReadStream()).toArray()).join("");
  assert.equal(text.trim().split("\n").length, LETTERS);
  await page.getByRole("button", { name: "Send all 1,500 again" }).click();
  await page.getByRole("heading", { name: "All 1,500 have arrived." }).waitFor({ timeout: 120_000 });
  const arrived = [...stage.others.taken].filter((it) => it.startsWith("written-"));
  assert.equal(arrived.length, LETTERS);
  await until("none is left", async () => {
    const { items } = await json(`/dlqs/groups?subscription_id=${id}`);
    return items.length === 0;
  });
  isClean();
});
