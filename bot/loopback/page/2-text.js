// The part of Discord's Markdown that a bot's messages use, built as elements.
const INLINE = /(\\[^0-9A-Za-z\s])|(`[^`]+`)|(\*\*(?:\\.|[^*\\])+\*\*)|(__(?:\\.|[^_\\])+__)|(~~(?:\\.|[^~\\])+~~)|(\*(?:\\.|[^*\\\n])+\*)|(\[[^\]]+\]\(<?https?:\/\/[^)\s>]+>?\))|(<?https?:\/\/[^\s<>]+>?)|(<@!?\d+>)|(<#\d+>)|(<t:-?\d+(?::[tTdDfFR])?>)|(<\/[^:>]+:\d+>)/g;

function inline(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > at) parts.push(text.slice(at, found.index));
    parts.push(inlinePart(found[0]));
    at = found.index + found[0].length;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

function inlinePart(piece) {
  if (piece.startsWith("\\")) return piece.slice(1);
  if (piece.startsWith("`")) return make("code", {}, piece.slice(1, -1));
  if (piece.startsWith("**")) return make("strong", {}, ...inline(piece.slice(2, -2)));
  if (piece.startsWith("__")) return make("u", {}, ...inline(piece.slice(2, -2)));
  if (piece.startsWith("~~")) return make("s", {}, ...inline(piece.slice(2, -2)));
  if (piece.startsWith("*")) return make("em", {}, ...inline(piece.slice(1, -1)));
  if (piece.startsWith("[")) {
    const [, words, url] = piece.match(/^\[([^\]]+)\]\(<?([^)>]+)>?\)$/);
    return outward(url, words);
  }
  if (piece.startsWith("<@")) return make("span", { class: "mention" }, `@${nameOf(piece.match(/\d+/)[0])}`);
  if (piece.startsWith("<#")) return make("span", { class: "mention" }, `#${channelOf(piece.match(/\d+/)[0])?.name ?? "unknown"}`);
  if (piece.startsWith("<t:")) return stamp(piece);
  if (piece.startsWith("</")) return make("code", {}, `/${piece.slice(2).split(":")[0]}`);
  const url = piece.replace(/^<|>$/g, "");
  return outward(url, url);
}

const outward = (url, words) => make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, words);

const CLOCKS = {
  t: { timeStyle: "short" }, T: { timeStyle: "medium" }, d: { dateStyle: "short" }, D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" }, F: { dateStyle: "full", timeStyle: "short" },
};

function stamp(piece) {
  const [, seconds, style] = piece.match(/^<t:(-?\d+)(?::(\w))?>$/);
  const when = new Date(Number(seconds) * 1000);
  const words = style === "R" ? relative(when) : when.toLocaleString([], CLOCKS[style] ?? CLOCKS.f);
  return make("time", { datetime: when.toISOString(), title: when.toLocaleString() }, words);
}

const clockTime = (when) => when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function relative(when) {
  const seconds = (when - Date.now()) / 1000;
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, s]) => Math.abs(seconds) >= s) ?? ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

const BLOCKS = [
  [/^### (.*)/, "h4"], [/^## (.*)/, "h3"], [/^# (.*)/, "h2"], [/^-# (.*)/, "small"], [/^> ?(.*)/, "blockquote"], [/^\s*[-*] (.*)/, "li"],
];

function markdown(text) {
  const out = make("div", { class: "text" });
  text.split(/```(?:\w*\n)?/).forEach((part, index) => {
    if (index % 2) out.append(make("pre", {}, make("code", {}, part.replace(/\n$/, ""))));
    else lines(part, out);
  });
  return out;
}

function lines(text, out) {
  let open = null;
  for (const line of text.split("\n")) {
    const [pattern, tag] = BLOCKS.find(([p]) => p.test(line)) ?? [null, "p"];
    const words = inline(pattern ? line.match(pattern)[1] : line);
    if (!pattern && !line.trim()) { open = null; continue; }
    if (tag === "li") {
      if (open?.tagName !== "UL") out.append(open = make("ul"));
      open.append(make("li", {}, ...words));
    } else if (open && ((tag === "p" && open.tagName === "P") || (tag === "blockquote" && open.tagName === "BLOCKQUOTE"))) {
      open.append(make("br"), ...words);
    } else {
      open = tag === "small" ? make("p", { class: "small" }, ...words) : make(tag, {}, ...words);
      out.append(open);
    }
  }
}
