// One message: who, what, files, embeds, components, reactions.
const STYLES = { 1: "primary", 2: "", 3: "success", 4: "danger", 5: "link" };
const HUES = ["#3b6fb5", "#8a4fae", "#b2553d", "#2f7d68", "#8a6d1d", "#a83f6f", "#4d6a2c"];
const hue = (id) => HUES[Number(BigInt(id) % BigInt(HUES.length))];

function messageNode(message) {
  const mine = message.visible_to !== null;
  const body = make("div", { class: "body" });
  if (message.thinking) body.append(make("p", { class: "thinking text" }, `${nameOf(message.author.id)} is thinking…`));
  if (message.message_reference) body.append(make("p", { class: "text small" }, "↪ in reply to an earlier message"));
  if (message.content) body.append(markdown(message.content));
  body.append(...message.embeds.map(embedNode), ...attachmentNodes(message.attachments));
  body.append(...message.components.map((c) => componentNode(c, message)));
  if (message.thread) body.append(threadLink(message.thread));
  const face = make("div", { class: "face", "aria-hidden": "true" }, nameOf(message.author.id)[0].toUpperCase());
  face.style.background = hue(message.author.id);
  return make("article", { class: mine ? "message whisper" : "message", id: `m${message.id}`, "aria-label": `Message of ${nameOf(message.author.id)}` },
    face, metaNode(message, mine), body, footNode(message));
}

function metaNode(message, mine) {
  const when = new Date(message.timestamp);
  const command = message.interaction_metadata?.user;
  return make("div", { class: "meta" },
    make("strong", {}, nameOf(message.author.id)),
    message.author.bot ? make("span", { class: "tag" }, "BOT") : null,
    make("time", { datetime: message.timestamp, title: when.toLocaleString() }, clockTime(when)),
    message.edited_timestamp ? make("span", {}, "(edited)") : null,
    command ? make("span", {}, `for ${nameOf(command.id)}`) : null,
    mine ? make("span", {}, "Only you can see this") : null);
}

function threadLink(thread) {
  return make("button", { type: "button", onclick: () => go(thread.id) }, `🧵 ${thread.name} — open the thread`);
}

function embedNode(embed) {
  const card = make("section", { class: "embed" });
  if (embed.color) card.style.setProperty("--accent", `#${embed.color.toString(16).padStart(6, "0")}`);
  if (embed.author) card.append(make("span", {}, embed.author.name));
  if (embed.title) card.append(make("h3", {}, ...(embed.url ? [outward(embed.url, embed.title)] : inline(embed.title))));
  if (embed.description) card.append(markdown(embed.description));
  if (embed.fields?.length) {
    card.append(make("dl", {}, ...embed.fields.map((f) => make("div", {}, make("dt", {}, ...inline(f.name)), make("dd", {}, markdown(f.value))))));
  }
  for (const part of [embed.image, embed.thumbnail]) if (part?.url) card.append(pictureNode({ ...part, description: embed.title }));
  if (embed.footer) card.append(make("footer", {}, embed.footer.text));
  return card;
}

const isPicture = (item) => (item.content_type ?? "image/").startsWith("image/") && !/heic|heif|svg/.test(item.content_type ?? "");

function pictureNode(item, className = "picture") {
  const alt = item.description || item.filename || "a picture without a description";
  const picture = make("img", { class: className, src: item.url, alt, loading: "lazy", width: item.width ?? null, height: item.height ?? null });
  const around = make("a", { href: item.url, target: "_blank", rel: "noopener", onclick: (event) => enlarge(event, item.url, alt) }, picture);
  picture.addEventListener("error", () => around.replaceWith(fileNode({ size: 0, filename: alt, ...item })));
  return around;
}

// A plain click shows the picture large on this page; with a key held down the link works as links do.
function enlarge(event, url, alt) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const viewer = $("viewer");
  viewer.replaceChildren(make("button", { type: "button", "aria-label": "Close the picture", onclick: () => viewer.close() }, "Close"),
    make("img", { src: url, alt, onclick: (pressed) => pressed.currentTarget.classList.toggle("near") }));
  viewer.showModal();
}

function fileNode(item) {
  return make("div", { class: "file" }, make("a", { href: item.url, download: item.filename }, `⬇ ${item.filename}`),
    item.size ? make("small", {}, sizeOf(item.size)) : null, item.description ? make("small", {}, item.description) : null);
}

function attachmentNodes(items) {
  const pictures = items.filter(isPicture);
  const nodes = pictures.length > 1 ? [make("div", { class: "gallery" }, ...pictures.map((p) => pictureNode(p)))] : pictures.map((p) => pictureNode(p));
  return [...nodes, ...items.filter((i) => !isPicture(i)).map(fileNode)];
}

function componentNode(part, message) {
  const inner = () => (part.components ?? []).map((c) => componentNode(c, message));
  switch (part.type) {
    case 1: return make("div", { class: "row" }, ...inner());
    case 2: return buttonNode(part, message);
    case 3: case 5: case 6: case 7: case 8: return selectNode(part, message);
    case 9: return make("div", { class: "section" }, make("div", {}, ...inner()), componentNode(part.accessory, message));
    case 10: return markdown(part.content);
    case 11: return pictureNode({ ...part.media, description: part.description }, "thumb");
    case 12: return make("div", { class: "gallery" }, ...part.items.map((i) =>
      make("div", { class: i.spoiler ? "spoiler" : "" }, pictureNode({ ...i.media, description: i.description }))));
    case 13: return fileNode({ url: part.file.url, filename: part.name ?? "file", size: part.size ?? 0 });
    case 14: return part.divider ? make("hr", { class: "rule" }) : make("span");
    case 17: return containerNode(part, inner());
    default: return make("p", { class: "wrong" }, `a component of type ${part.type}`);
  }
}

function containerNode(part, inner) {
  const card = make("section", { class: "card" }, ...inner);
  if (part.accent_color) card.style.setProperty("--accent", `#${part.accent_color.toString(16).padStart(6, "0")}`);
  return card;
}

function buttonNode(part, message) {
  const words = [part.emoji?.name, part.label].filter(Boolean).join(" ");
  if (part.style === 5) return make("a", { class: "button", href: part.url, target: "_blank", rel: "noopener noreferrer" }, `${words} ↗`);
  return make("button", {
    type: "button", class: STYLES[part.style], disabled: part.disabled ?? false,
    onclick: (event) => interact(event.currentTarget, "click", { channel_id: message.channel_id, message_id: message.id, custom_id: part.custom_id }),
  }, words);
}

function selectNode(part, message) {
  const many = (part.max_values ?? 1) > 1;
  const options = part.options ?? (part.type === 5 ? (guildOf(message.channel_id)?.members ?? []).map((m) => ({ label: nameOf(m.user.id), value: m.user.id })) : []);
  const select = make("select", { multiple: many, disabled: part.disabled ?? false, "aria-label": part.placeholder ?? "Choose" },
    many ? null : make("option", { value: "" }, part.placeholder ?? "Choose…"),
    ...options.map((o) => make("option", { value: o.value, selected: o.default ?? false }, o.description ? `${o.label} — ${o.description}` : o.label)));
  const send = () => interact(select, "click", {
    channel_id: message.channel_id, message_id: message.id, custom_id: part.custom_id,
    values: [...select.selectedOptions].map((o) => o.value).filter(Boolean),
  });
  if (!many) { select.addEventListener("change", () => select.value && send()); return select; }
  return make("div", { class: "row" }, select, make("button", { type: "button", onclick: send }, "Choose"));
}

function footNode(message) {
  const foot = make("div", { class: "reactions" });
  for (const reaction of message.reactions ?? []) {
    const key = reaction.emoji.id ? `${reaction.emoji.name}:${reaction.emoji.id}` : reaction.emoji.name;
    const people = (message.reacted_by[key] ?? []).map(nameOf).join(", ");
    foot.append(make("button", {
      type: "button", "aria-pressed": String(reaction.me), title: people, "aria-label": `${reaction.emoji.name}, ${reaction.count}: ${people}`,
      onclick: (event) => interact(event.currentTarget, reaction.me ? "unreact" : "react", { channel_id: message.channel_id, message_id: message.id, emoji: key }),
    }, `${reaction.emoji.name} ${reaction.count}`));
  }
  if (message.visible_to === null && !message.thinking) foot.append(make("button", { type: "button", class: "plain tools", "aria-label": "React or do more with this message", onclick: () => messageSheet(message) }, "☺ …"));
  else if (message.visible_to !== null) foot.append(make("button", { type: "button", class: "plain tools", onclick: () => tried(() => act("unsay", { channel_id: message.channel_id, message_id: message.id })) }, "Dismiss"));
  return foot;
}
