// The programs under test: started as a person would start them, and ended by their own handles.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import { createServer } from "node:net";

const { PROGRAMS, LOGS, OIDC } = process.env;

/** How long a program may take until it answers, on a busy machine. */
const START = 60_000;

const running = new Map();

/** A port that nobody has. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until `condition` gives something, and gives that. */
export async function until(what, condition, limit = START) {
  const deadline = Date.now() + limit;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Starts an OIDC provider that others wrote, with those clients; gives where it is. */
export async function provider(clients) {
  const args = [`${OIDC}/provider.mjs`, "0", "600", JSON.stringify(clients)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  running.set(child, ended);
  const [said] = await once(child.stdout, "data");
  return `${said}`.trim();
}

/** Begins a program, whose output goes to a log of that name. */
function begin(program, args, { name = program, env = {} }) {
  mkdirSync(LOGS, { recursive: true });
  const log = createWriteStream(`${LOGS}/${name}.log`, { flags: "a" });
  const child = spawn(`${PROGRAMS}/${program}`, args, { env: { ...process.env, ...env } });
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  running.set(child, ended);
  void ended.then(() => running.delete(child));
  return { child, ended };
}

/** Starts a program, and waits until it is ready to be used at `url`. */
export async function start(program, args, { name = program, env, ready }) {
  const { child, ended } = begin(program, args, { name, env });
  await until(`${name} to be ready`, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: see ${LOGS}/${name}.log`);
    return (await fetch(ready).catch(() => null))?.ok;
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { stop };
}

/** Runs a program to its end, which has to be a good one. */
export async function run(program, args) {
  const code = await begin(program, args, {}).ended;
  if (code !== 0) throw new Error(`${program} ended with ${code}: see ${LOGS}/${program}.log`);
}

/** Ends what runs, and waits for that. */
export async function stopAll() {
  for (const child of running.keys()) child.kill("SIGTERM");
  await Promise.all(running.values());
}

// Whoever runs the tests may end them: what runs ends with them.
process.once("SIGTERM", () => void stopAll().finally(() => process.exit(143)));
