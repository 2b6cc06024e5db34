// What all tests of the console stand on: the programs, two receivers, and a browser.

import { after, before } from "node:test";
import { open } from "./browser.mjs";
import { Receiver } from "./receiver.mjs";
import { freePort, provider, run, start, stopAll } from "./programs.mjs";

/** An admin's key of the API that asks for keys. */
export const KEY = "an-admin-key-of-the-browser-test-0123456789";

/** What ends any attribute, element and script that it stands in, where it is not escaped. */
export const HOSTILE = `"'></td><script>alert(1)</script><img src=x onerror=alert(2)>`;

export const local = (port) => `http://127.0.0.1:${port}`;

/** `base`, the API that asks nobody; `locked`, one that asks for keys; `id`, the subscription that
 * the story is of; `receiver`, its own, and `others`, that of the other subscribers. */
export const stage = {};

/** An API, and how it is started again at the same place. */
async function api(name, env, port) {
  port ??= await freePort();
  const args = ["--listen", `127.0.0.1:${port}`];
  const begin = () => start("api", args, { name, env, ready: `${local(port)}/readyz` });
  return { at: local(port), begin, running: await begin() };
}

/** One that asks for keys, or for a sign-in at a provider. */
async function locked() {
  const port = await freePort();
  const at = local(port);
  const client = {
    client_id: "console",
    client_secret: "a-secret-of-the-console",
    grant_types: ["authorization_code"],
    response_types: ["code"],
    redirect_uris: [`${at}/console/sign-in/callback`],
  };
  const issuer = await provider([client]);
  const env = {
    AUTH: "on",
    ADMIN_API_KEY: KEY,
    PUBLIC_URL: at,
    OIDC_ISSUER: issuer,
    OIDC_CLIENT_ID: client.client_id,
    OIDC_CLIENT_SECRET: client.client_secret,
  };
  return (await api("api-locked", env, port)).at;
}

async function receiver() {
  const port = await freePort();
  const it = new Receiver(port);
  await it.listen();
  return Object.assign(it, { at: local(port) });
}

/** Publishes events, so many a second, until it is stopped. */
export async function publish(rate) {
  const port = await freePort();
  const args = ["--rate", `${rate}`, "--admin-listen", `127.0.0.1:${port}`];
  return start("system", args, { ready: `${local(port)}/readyz` });
}

/** Publishes a recording again and again, until it is stopped. */
export async function repeat(recording, rate) {
  const port = await freePort();
  const args = ["--replay", recording, "--loop", "--rate", `${rate}`, "--admin-listen", `127.0.0.1:${port}`];
  return start("system", args, { ready: `${local(port)}/readyz` });
}

/** Publishes that, and ends. */
export async function publishAll(args) {
  await run("system", ["--admin-listen", `127.0.0.1:${await freePort()}`, ...args]);
}

before(async () => {
  stage.opened = await api("api", { AUTH: "off", RATE_LIMIT_PER_ADDRESS: "0" });
  stage.base = stage.opened.at;
  // The topic is there, and has something to try a filter on.
  await publishAll(["--count", "300", "--rate", "1000"]);
  stage.locked = await locked();
  const port = await freePort();
  const env = { RETRY_SCHEDULE: "1s,1s" };
  await start("processor", ["--admin-listen", `127.0.0.1:${port}`], { env, ready: `${local(port)}/readyz` });
  stage.receiver = await receiver();
  stage.others = await receiver();
  stage.browser = await open(stage.base);
});

after(async () => {
  await stage.browser?.close();
  await stage.receiver?.leave();
  await stage.others?.leave();
  await stopAll();
});

/** What the API answers. */
export async function json(path, options) {
  return (await fetch(`${stage.base}${path}`, options)).json();
}

/** Makes something by the API; the answer has to be good. */
export async function post(path, body, token) {
  const headers = { "content-type": "application/json" };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const base = token === undefined ? stage.base : stage.locked;
  const response = await fetch(`${base}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}
