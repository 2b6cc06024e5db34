// Keeps a page fresh: what the server renders is fetched again and put in place, times go on, and
// what is delivered shows up as it is. Without it every page reads the same, as of when it was
// loaded. Nothing here builds markup from what others wrote: texts are set as text, and parts come
// from the server, which has escaped them.
"use strict";

const SECONDS = 1000;
const root = document.documentElement;
root.classList.add("is-live");

// Lengths of time, as `moment.rs` says them.
function length(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (large, unit, small, lesser) =>
    small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${lesser}`;
  if (whole < 60) return `${whole} s`;
  if (whole < 300) return two(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return two(Math.floor(whole / 3600), "h", Math.floor(whole / 60) % 60, "min");
  return two(Math.floor(whole / 86400), "d", Math.floor(whole / 3600) % 24, "h");
}

function tellTimes() {
  for (const time of document.querySelectorAll("time.ago, time.until")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / SECONDS;
    if (time.classList.contains("ago")) {
      time.textContent = seconds < 1 ? "just now" : `${length(seconds)} ago`;
    } else {
      time.textContent = seconds >= 0 ? "now" : `in ${length(-seconds)}`;
    }
  }
}

// Parts that somebody is using stay as they are: an open detail, a focus, a selection.
function isInUse(part) {
  const selection = document.getSelection();
  return (
    part.contains(document.activeElement) ||
    part.querySelector("details[open]") !== null ||
    (selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode))
  );
}

async function refresh() {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (response.redirected) {
    location.reload();
    return;
  }
  if (!response.ok) throw new Error(`${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    const isNew = next !== null && !part.isEqualNode(next);
    if (isNew && !isInUse(part)) part.replaceWith(next);
  }
  tellTimes();
}

let isAsking = false;
async function keepFresh() {
  if (document.hidden || isAsking) return;
  isAsking = true;
  try {
    await refresh();
    root.classList.remove("is-stale");
  } catch {
    root.classList.add("is-stale");
  } finally {
    isAsking = false;
  }
}

// What becomes of deliveries is a reason to look at once, though not more often than every second.
function follow(path) {
  let due = null;
  const stream = new EventSource(path);
  stream.addEventListener("outcome", () => {
    due ??= setTimeout(() => {
      due = null;
      keepFresh();
    }, SECONDS);
  });
  // The browser connects again by itself, with the id of the last event; not after a refusal.
  stream.addEventListener("error", () => root.classList.toggle("is-stale", stream.readyState === 2));
  stream.addEventListener("open", () => root.classList.remove("is-stale"));
  addEventListener("pagehide", () => stream.close());
}

function copies(button) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// Of the ways to authenticate, only what belongs to the chosen one is shown.
function choose(select) {
  const show = () => {
    for (const part of document.querySelectorAll("[data-for]")) {
      part.classList.toggle("is-unused", part.dataset.for !== select.value);
    }
  };
  select.addEventListener("change", show);
  show();
}

const live = document.querySelector("[data-live]");
if (live !== null) {
  setInterval(keepFresh, Number(live.dataset.live) * SECONDS);
  document.addEventListener("visibilitychange", keepFresh);
}
const tail = document.querySelector("[data-tail]");
if (tail !== null) follow(tail.dataset.tail);
document.querySelectorAll("[data-copy]").forEach(copies);
document.querySelectorAll("select#auth").forEach(choose);
document.querySelector("form[data-at-once]")?.requestSubmit();
setInterval(tellTimes, SECONDS);
document.querySelector("header [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
