// Talking to /loopback, and making elements. Nothing is ever put in as HTML.
const state = { me: "", channel: "", world: null, after: 0, seen: new Map(), news: new Set(), picked: [], typing: 0, suggest: null };
const $ = (id) => document.getElementById(id);

function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

async function ask(path, options = {}) {
  const response = await fetch(`/loopback/${path}`, options);
  const body = await response.json().catch(() => ({ message: response.statusText }));
  if (!response.ok) throw new Error(explain(body));
  return body;
}

function explain(body) {
  const deep = (part) => Object.values(part ?? {}).flatMap((v) =>
    Array.isArray(v) ? v.map((e) => e.message) : typeof v === "object" ? deep(v) : []);
  return [body.message, ...deep(body.errors)].join(": ");
}

const act = (verb, order = {}) => ask("act", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ as: state.me, do: verb, ...order }),
});

async function upload(file) {
  const query = new URLSearchParams({ as: state.me, filename: file.name });
  return (await ask(`uploads?${query}`, { method: "POST", body: file })).id;
}

async function uploadAll(files) {
  const ids = [];
  for (const file of files) ids.push(await upload(file));
  return ids;
}

function toast(words) {
  const note = make("p", {}, words);
  $("toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}

async function tried(deed) {
  try { return await deed(); } catch (error) { toast(error.message); return undefined; }
}

const person = (id) => state.world?.users.find((u) => u.id === id) ?? (state.world?.bot.id === id ? state.world.bot : undefined);
const nameOf = (id) => person(id)?.global_name ?? "someone";
const channels = () => [...(state.world?.guilds ?? []).flatMap((g) => g.channels), ...(state.world?.dms ?? [])];
const channelOf = (id) => channels().find((c) => c.id === id);
const guildOf = (id) => state.world?.guilds.find((g) => g.channels.some((c) => c.id === id));
const sizeOf = (bytes) => bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
