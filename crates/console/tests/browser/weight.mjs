// What a page costs: when its first byte is there, and what it and all that it needs weigh.

import { performance } from "node:perf_hooks";

const ACCEPT = { accept: "text/html" };

/** Asks for a page once: `wait` in milliseconds until its head is there, `bytes` with its assets. */
export async function weight(base, path) {
  const began = performance.now();
  const response = await fetch(`${base}${path}`, { headers: ACCEPT });
  const wait = performance.now() - began;
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  const html = await response.text();
  let bytes = Buffer.byteLength(html);
  const assets = new Set(html.match(/\/console\/assets\/[^"]+/g));
  for (const asset of assets) {
    const answer = await fetch(`${base}${asset.replaceAll("&#38;", "&")}`);
    bytes += (await answer.arrayBuffer()).byteLength;
  }
  return { wait, bytes };
}
