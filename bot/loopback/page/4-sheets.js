// Dialogs: commands with their options, a message's menu, modals of the bot.
const EMOJI = [..."👍👎🎉🔥😀🤔👀✅"].concat(["❤️", "1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣"]);
const STRING = 3, INTEGER = 4, BOOLEAN = 5, USER = 6, CHANNEL = 7, NUMBER = 10, ATTACHMENT = 11;
let fieldCount = 0;

function sheet(title, ...content) {
  const dialog = $("sheet");
  dialog.replaceChildren(make("h2", { id: "sheet-title" }, title), ...content);
  if (!dialog.open) dialog.showModal();
}
const closeSheet = () => $("sheet").open && $("sheet").close();

function ends(words) {
  return make("div", { class: "ends" }, make("button", { type: "button", onclick: closeSheet }, "Cancel"), make("button", { type: "submit", class: "primary" }, words));
}

function field(label, note, input) {
  const id = `f${++fieldCount}`;
  input.id = id;
  if (note) input.setAttribute("aria-describedby", `${id}n`);
  return make("div", { class: "field" }, make("label", { for: id }, label), note ? make("small", { id: `${id}n` }, note) : null, input);
}

function commandSheet() {
  const found = (guildOf(state.channel)?.commands ?? []).filter((c) => c.type === 1);
  const flat = found.flatMap((c) => leaves(c, c.name));
  sheet("Commands", flat.length
    ? make("div", { class: "list" }, ...flat.map(([path, part]) => make("button", { type: "button", onclick: () => optionSheet(path, part) }, make("strong", {}, `/${path}`), make("small", {}, part.description))))
    : make("p", {}, "No bot has registered a command here."),
  make("div", { class: "ends" }, make("button", { type: "button", onclick: closeSheet }, "Close")));
}

function leaves(part, path) {
  const subs = (part.options ?? []).filter((o) => o.type < STRING);
  return subs.length ? subs.flatMap((s) => leaves(s, `${path} ${s.name}`)) : [[path, part]];
}

function optionSheet(path, part) {
  const options = part.options ?? [];
  if (!options.length) { closeSheet(); return interact(null, "slash", { channel_id: state.channel, command: path, options: {} }); }
  const inputs = options.map((o) => [o, optionInput(o)]);
  const wrong = make("p", { class: "wrong", role: "alert" });
  const form = make("form", { onsubmit: (event) => { event.preventDefault(); runCommand(path, inputs, wrong); } },
    ...inputs.map(([o, input]) => field(o.required ? `${o.name} *` : o.name, o.description, input)), wrong, ends("Run"));
  sheet(`/${path}`, form);
  return undefined;
}

function optionInput(option) {
  const common = { required: option.required ?? false, name: option.name };
  if (option.choices?.length) return chooser(option.choices.map((c) => [c.name, String(c.value)]), common);
  if (option.type === ATTACHMENT) return make("input", { type: "file", ...common });
  if (option.type === BOOLEAN) return chooser([["yes", "true"], ["no", "false"]], common);
  if (option.type === USER) return chooser((guildOf(state.channel)?.members ?? []).map((m) => [nameOf(m.user.id), m.user.id]), common);
  if (option.type === CHANNEL) return chooser((guildOf(state.channel)?.channels ?? []).map((c) => [`#${c.name}`, c.id]), common);
  if (option.type === INTEGER || option.type === NUMBER) return make("input", { type: "number", step: option.type === INTEGER ? "1" : "any", min: option.min_value?.toString(), max: option.max_value?.toString(), ...common });
  return make("input", { type: "text", maxlength: option.max_length?.toString(), minlength: option.min_length?.toString(), ...common });
}

const chooser = (pairs, common) => make("select", common, make("option", { value: "" }, "—"), ...pairs.map(([label, value]) => make("option", { value }, label)));

async function optionValue(option, input) {
  if (option.type === ATTACHMENT) return input.files.length ? upload(input.files[0]) : undefined;
  if (input.value === "") return undefined;
  if (option.type === INTEGER || option.type === NUMBER) return Number(input.value);
  return option.type === BOOLEAN ? input.value === "true" : input.value;
}

async function runCommand(path, inputs, wrong) {
  try {
    const options = {};
    for (const [option, input] of inputs) {
      const value = await optionValue(option, input);
      if (value !== undefined) options[option.name] = value;
    }
    await act("slash", { channel_id: state.channel, command: path, options });
    closeSheet();
  } catch (error) { wrong.textContent = error.message; }
}

function messageSheet(message) {
  const place = { channel_id: message.channel_id, message_id: message.id };
  const done = (deed) => async () => { closeSheet(); await tried(deed); };
  const menu = (guildOf(message.channel_id)?.commands ?? []).filter((c) => c.type === 3);
  sheet("This message",
    make("div", { class: "emoji", role: "group", "aria-label": "React with" }, ...EMOJI.map((e) => make("button", { type: "button", "aria-label": `React with ${e}`, onclick: done(() => act("react", { ...place, emoji: e })) }, e))),
    make("div", { class: "list" }, ...menu.map((c) => make("button", { type: "button", onclick: done(() => act("on_message", { ...place, command: c.name })) }, c.name)),
      message.author.id === state.me ? make("button", { type: "button", class: "danger", onclick: done(() => act("unsay", place)) }, "Delete") : null),
    make("div", { class: "ends" }, make("button", { type: "button", onclick: closeSheet }, "Close")));
}

function modalSheet(interaction, modal) {
  const readers = {};
  const wrong = make("p", { class: "wrong", role: "alert" });
  const parts = modal.components.flatMap((c) => modalPart(c, readers));
  const form = make("form", { onsubmit: async (event) => {
    event.preventDefault();
    const button = event.submitter;
    button.disabled = true;
    try {
      const values = {};
      for (const [name, read] of Object.entries(readers)) values[name] = await read();
      await act("submit", { interaction_id: interaction, values });
      closeSheet();
    } catch (error) { wrong.textContent = error.message; button.disabled = false; }
  } }, ...parts, wrong, ends("Submit"));
  sheet(modal.title, form);
}

function modalPart(part, readers) {
  if (part.type === 10) return [markdown(part.content)];
  if (part.type === 1) return part.components.map((c) => field(c.label ?? c.custom_id, null, modalInput(c, readers)));
  const input = modalInput(part.component, readers);
  const label = part.component.required === false ? part.label : `${part.label} *`;
  if (input.tagName === "FIELDSET") { input.prepend(make("legend", {}, label), make("small", {}, part.description ?? "")); return [input]; }
  return [field(label, part.description, input)];
}

function modalInput(part, readers) {
  const required = part.required ?? true;
  if (part.type === 4) {
    const input = make(part.style === 2 ? "textarea" : "input", { required, maxlength: part.max_length?.toString(), placeholder: part.placeholder });
    input.value = part.value ?? "";
    readers[part.custom_id] = () => input.value;
    return input;
  }
  if (part.type === 19) {
    const input = make("input", { type: "file", multiple: (part.max_values ?? 1) > 1, required: required && (part.min_values ?? 1) > 0 });
    readers[part.custom_id] = () => uploadAll(input.files);
    return input;
  }
  if (part.type === 21 || part.type === 22) return boxes(part, readers);
  if (part.type === 23) {
    const input = make("input", { type: "checkbox", checked: part.default ?? false });
    readers[part.custom_id] = () => input.checked;
    return input;
  }
  const options = part.options ?? (guildOf(state.channel)?.members ?? []).map((m) => ({ label: nameOf(m.user.id), value: m.user.id }));
  const many = (part.max_values ?? 1) > 1;
  const input = make("select", { required, multiple: many }, many ? null : make("option", { value: "" }, part.placeholder ?? "Choose…"),
    ...options.map((o) => make("option", { value: o.value, selected: o.default ?? false }, o.label)));
  readers[part.custom_id] = () => [...input.selectedOptions].map((o) => o.value).filter(Boolean);
  return input;
}

function boxes(part, readers) {
  const one = part.type === 21;
  const inputs = part.options.map((o) => [o, make("input", { type: one ? "radio" : "checkbox", name: `g${part.custom_id}`, checked: o.default ?? false })]);
  const chosen = () => inputs.filter(([, i]) => i.checked).map(([o]) => o.value);
  readers[part.custom_id] = () => one ? chosen()[0] : chosen();
  return make("fieldset", { class: "field" }, ...inputs.map(([o, input]) => make("label", {}, input, ` ${o.label}`)));
}
