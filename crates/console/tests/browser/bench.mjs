// Prints when the largest lists have their first byte, and what they weigh with all that they need: the
// middle and the slowest of so many requests, one after the other, beside what is aimed at.

import { freePort, run, start, stopAll, until } from "./programs.mjs";
import { Receiver } from "./receiver.mjs";
import { weight } from "./weight.mjs";

const SUBSCRIPTIONS = 10_000;
const EVENTS = 4_000;
const DEAD_LETTERS = 1_000;
const REQUESTS = 40;
const AIM = { milliseconds: 50, kilobytes: 150 };

const [port, admin, publisher, receiving] = [await freePort(), await freePort(), await freePort(), await freePort()];
const base = `http://127.0.0.1:${port}`;
const receiver = new Receiver(receiving);

async function post(body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${base}/subscriptions`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}

/** One who gets all, three in four at the first attempt, and the others, who wait for another city. */
async function fill() {
  await post({ name: "busy", url: `http://127.0.0.1:${receiving}/busy`, retry_schedule: ["1s"] });
  const numbers = Array.from({ length: SUBSCRIPTIONS - 1 }, (_, at) => at);
  const worker = async () => {
    for (let at = numbers.pop(); at !== undefined; at = numbers.pop()) {
      const url = `http://127.0.0.1:${receiving}/${at}`;
      await post({ name: `subscriber number ${at}`, url, owner: `owner ${at % 100}`, cities: ["Nowhere"] });
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  const seen = new Map();
  receiver.answers((body) => {
    const { id } = JSON.parse(body);
    const fate = seen.get(id) ?? seen.size % 4 === 0;
    seen.set(id, fate);
    return { status: fate ? 500 : 204 };
  });
  const publishing = ["--count", `${EVENTS}`, "--rate", "200", "--admin-listen", `127.0.0.1:${publisher}`];
  await run("system", publishing);
  await until("dead letters", async () => {
    const { items } = await (await fetch(`${base}/dlqs?limit=1000`)).json();
    return items.length >= DEAD_LETTERS;
  }, 120_000);
}

function row(cells) {
  console.log(cells.map((cell, at) => (at === 0 ? `${cell}`.padEnd(46) : `${cell}`.padStart(14))).join(""));
}

async function measure(path) {
  const taken = [];
  for (let request = 0; request < REQUESTS; request += 1) taken.push(await weight(base, path));
  const waits = taken.map(({ wait }) => wait).sort((one, other) => one - other);
  const kilobytes = taken.at(-1).bytes / 1000;
  const middle = waits[Math.floor(REQUESTS / 2)];
  row([path, `${middle.toFixed(1)} ms`, `${waits.at(-1).toFixed(1)} ms`, `${kilobytes.toFixed(0)} KB`]);
  return middle < AIM.milliseconds && kilobytes < AIM.kilobytes;
}

try {
  await receiver.listen();
  const env = { AUTH: "off", RATE_LIMIT_PER_ADDRESS: "0" };
  await start("api", ["--listen", `127.0.0.1:${port}`], { env, ready: `${base}/readyz` });
  // Not ready before there is a topic, which who publishes makes.
  await start("processor", ["--admin-listen", `127.0.0.1:${admin}`], { ready: `http://127.0.0.1:${admin}/livez` });
  await fill();
  row([`${SUBSCRIPTIONS} subscriptions, ${EVENTS} events`, "first byte", "slowest", "weight"]);
  let isMet = true;
  for (const path of [
    "/",
    "/console/subscriptions",
    "/console/subscriptions?skip=9950",
    "/console/subscriptions?q=number+77",
    "/console/subscriptions?state=active",
    "/console/deliveries",
    "/console/deliveries?status=dead",
    "/console/dead-letters",
    "/console/audit",
  ]) isMet = (await measure(path)) && isMet;
  console.log(`aimed at: first byte < ${AIM.milliseconds} ms, weight < ${AIM.kilobytes} KB: ${isMet ? "met" : "missed"}`);
} finally {
  await receiver.leave();
  await stopAll();
}
