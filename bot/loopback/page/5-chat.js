// The page itself: places, log, composer, and the long poll that keeps them true.
async function interact(source, verb, order) {
  if (source) source.disabled = true;
  await tried(() => act(verb, order));
  if (source) setTimeout(() => { source.disabled = false; }, 1500);
}

function drawPlaces() {
  const nav = $("places");
  nav.replaceChildren();
  for (const guild of state.world.guilds) {
    const roots = guild.channels.filter((c) => c.type === 0);
    nav.append(make("h2", {}, guild.name), make("ul", {}, ...roots.map((root) => {
      const inside = guild.channels.filter((c) => c.parent_id === root.id);
      return make("li", {}, placeButton(root.id, `# ${root.name}`), inside.length ? make("ul", {}, ...inside.map((t) => make("li", {}, placeButton(t.id, `🧵 ${t.name}`)))) : null);
    })));
  }
  if (state.world.dms.length) nav.append(make("h2", {}, "Direct messages"), make("ul", {}, ...state.world.dms.map((d) => make("li", {}, placeButton(d.id, `@ ${state.world.bot.global_name}`)))));
  const up = state.world.bot_connected;
  $("bot").textContent = up ? `${state.world.bot.global_name} is online` : "the bot is offline";
  $("bot").className = up ? "status up" : "status down";
}

function placeButton(id, label) {
  return make("button", { type: "button", class: state.news.has(id) ? "news" : "", "aria-current": id === state.channel ? "page" : null, onclick: () => go(id) }, make("span", {}, label));
}

function titleOf(place) {
  if (!place) return "Loopback";
  return place.type === 1 ? state.world.bot.global_name : place.type === 11 ? `🧵 ${place.name}` : `# ${place.name}`;
}

async function go(id) {
  state.channel = id;
  state.news.delete(id);
  document.body.classList.remove("browsing");
  $("menu").setAttribute("aria-expanded", "false");
  location.hash = `as=${state.me}&in=${id}`;
  state.seen.clear();
  $("log").replaceChildren();
  if (!channelOf(id)) await loadWorld();
  $("title").textContent = titleOf(channelOf(id));
  document.title = `${titleOf(channelOf(id))} · Loopback chat`;
  drawPlaces();
  await drawLog(true);
}

async function loadWorld() {
  state.world = await ask(`world?as=${state.me}`);
  drawPlaces();
}

// A place that is gone or closed to this member is empty; a loopback that does not answer is another matter.
const nothingThere = (error) => { if (error instanceof TypeError) throw error; return []; };

let draws = 0;
let wantsEnd = false;
// The newest look wins: an answer that another look has overtaken is of the past, or of another place.
async function drawLog(toEnd = false) {
  const mine = ++draws;
  wantsEnd ||= toEnd;
  const messages = await ask(`channels/${state.channel}/messages?as=${state.me}`).catch(nothingThere);
  if (mine !== draws) return;
  const log = $("log");
  const stick = wantsEnd || log.scrollHeight - log.scrollTop - log.clientHeight < 120;
  const kept = new Set(messages.map((m) => m.id));
  for (const [id, entry] of state.seen) if (!kept.has(id)) { entry.node.remove(); state.seen.delete(id); }
  log.querySelector(".empty")?.remove();
  for (const message of messages) place(log, message);
  if (!messages.length) log.append(make("p", { class: "empty" }, "Nothing has been said here yet. “/ Commands” below shows what the bot can do, for example /train."));
  wantsEnd = false;
  if (stick) toBottom(log);
}

function place(log, message) {
  const text = JSON.stringify(message);
  const known = state.seen.get(message.id);
  if (known?.text === text) return;
  const node = messageNode(message);
  if (known) known.node.replaceWith(node);
  else log.append(node);
  state.seen.set(message.id, { text, node });
}

function toBottom(log) {
  const down = () => { log.scrollTop = log.scrollHeight; };
  down();
  log.querySelectorAll("img").forEach((i) => i.complete || i.addEventListener("load", down, { once: true }));
}

const MESSAGES = /^(MESSAGE_|INTERACTION)/;
const WORLD = /^(THREAD_|CHANNEL_|MEMBER_|COMMANDS)/;

function hear(event) {
  if (event.type === "INTERACTION") hearInteraction(event.data);
  if (event.type === "TYPING" && event.channel_id === state.channel) showTyping(event.data.user_id);
  if (event.type === "MESSAGE_CREATE" && event.channel_id !== state.channel) state.news.add(event.channel_id);
  if (event.type === "MESSAGE_CREATE" && event.channel_id === state.channel) $("typing").textContent = "";
}

function hearInteraction(data) {
  if (data.state === "failed") toast(`${data.name}: the application did not respond`);
  if (data.state === "modal") modalSheet(data.interaction_id, data.modal);
  if (data.choices) state.suggest?.(data.choices);
}

function showTyping(user) {
  clearTimeout(state.typing);
  $("typing").textContent = `${nameOf(user)} is typing…`;
  state.typing = setTimeout(() => { $("typing").textContent = ""; }, 8000);
}

let listening = new AbortController();

async function follow() {
  for (let failures = 0; ;) {
    try {
      const me = state.me;
      listening = new AbortController();
      const news = await ask(`events?as=${me}&after=${state.after}&timeout=20`, { signal: listening.signal });
      failures = 0;
      if (me !== state.me) continue;
      state.after = news.last;
      news.events.forEach(hear);
      if (!news.events.length || news.events.some((e) => WORLD.test(e.type))) await loadWorld();
      if (news.events.some((e) => MESSAGES.test(e.type) && e.channel_id === state.channel)) await drawLog();
      if (news.events.some((e) => e.type === "MESSAGE_CREATE" && e.channel_id !== state.channel)) drawPlaces();
    } catch (error) {
      if (error.name === "AbortError") continue;
      $("bot").textContent = "the loopback is away";
      $("bot").className = "status down";
      failures += 1;
      await new Promise((done) => setTimeout(done, Math.min(1500 * failures, 15000)));
      await comeBack().catch(() => undefined);
    }
  }
}

async function comeBack() {
  await loadWorld();
  state.after = state.world.last_event;
  await drawLog();
}

// Somebody else looks: who, what they see, and from when on they listen change together, and the old ear is closed.
async function become(id) {
  const world = await ask(`world?as=${id}`);
  [state.me, state.world, state.after] = [id, world, world.last_event];
  listening.abort();
  await go(channelOf(state.channel) ? state.channel : channels()[0]?.id ?? "");
}

async function send(event) {
  event.preventDefault();
  const words = $("words").value.trim();
  if (words.startsWith("/") && !state.picked.length) { $("words").value = ""; typedCommand(words); return; }
  if (!words && !state.picked.length) return;
  await tried(async () => {
    const attachments = await uploadAll(state.picked);
    await act("post", { channel_id: state.channel, content: words, attachments });
    $("words").value = "";
    pick([]);
  });
}

function pick(files) {
  state.picked = [...files];
  $("files").value = "";
  $("picked").replaceChildren(...state.picked.map((f) => make("li", {}, `${f.name} (${sizeOf(f.size)}) `,
    make("button", { type: "button", "aria-label": `Leave out ${f.name}`, onclick: () => pick(state.picked.filter((other) => other !== f)) }, "✕"))));
}

async function begin() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const all = await ask("world");
  const people = all.users.filter((u) => !u.bot);
  $("who").replaceChildren(...people.map((u) => make("option", { value: u.id }, u.global_name)));
  state.channel = hash.get("in") ?? "";
  const wished = people.find((u) => u.id === hash.get("as")) ?? people[1] ?? people[0];
  $("who").value = wished.id;
  await become(wished.id);
  follow();
}

$("who").addEventListener("change", (event) => tried(() => become(event.target.value)));
$("composer").addEventListener("submit", send);
$("commands").addEventListener("click", commandSheet);
$("files").addEventListener("change", (event) => pick([...state.picked, ...event.target.files]));
$("words").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) send(event); });
$("menu").addEventListener("click", () => {
  const open = document.body.classList.toggle("browsing");
  $("menu").setAttribute("aria-expanded", String(open));
});
tried(begin);
