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

const slashes = () => (guildOf(state.channel)?.commands ?? []).filter((c) => c.type === 1).flatMap((c) => leaves(c, c.name));

function commandSheet() {
  const flat = slashes();
  sheet("Commands", flat.length
    ? make("div", { class: "list" }, ...flat.map(([path, part]) => make("button", { type: "button", onclick: () => optionSheet(path, part) }, make("strong", {}, `/${path}`), make("small", {}, part.description))))
    : make("p", {}, "No bot has registered a command here."),
  make("div", { class: "ends" }, make("button", { type: "button", onclick: closeSheet }, "Close")));
}

// What was typed behind a slash: the command of that name at once, else the list of all.
function typedCommand(words) {
  const wanted = words.replace(/^\//, "").trim().toLowerCase();
  const found = slashes().find(([path]) => path === wanted);
  return found ? optionSheet(...found) : commandSheet();
}

function leaves(part, path) {
  const subs = (part.options ?? []).filter((o) => o.type < STRING);
  return subs.length ? subs.flatMap((s) => leaves(s, `${path} ${s.name}`)) : [[path, part]];
}

function optionSheet(path, part) {
  const options = part.options ?? [];
  if (!options.length) { closeSheet(); return interact(null, "slash", { channel_id: state.channel, command: path, options: {} }); }
  const files = options.filter((o) => o.type === ATTACHMENT);
  const fields = [];
  for (const option of options) {
    if (option.type !== ATTACHMENT || files.length === 1) fields.push(oneOption(path, option));
    else if (option === files[0]) fields.push(manyFiles(files));
  }
  const wrong = make("p", { class: "wrong", role: "alert" });
  const run = async () => {
    const options = Object.assign({}, ...await Promise.all(fields.map((f) => f.read())));
    await act("slash", { channel_id: state.channel, command: path, options });
  };
  const form = make("form", { onsubmit: (event) => sendOnce(event, wrong, run) }, ...fields.map((f) => f.node), wrong, ends("Run"));
  sheet(`/${path}`, form);
  return undefined;
}

// A form is sent once however often it is submitted; where that fails it says why and can be sent again.
async function sendOnce(event, wrong, deed) {
  event.preventDefault();
  const form = event.currentTarget;
  if (form.dataset.busy) return;
  form.dataset.busy = "yes";
  const button = form.querySelector("[type=submit]");
  const words = button.textContent;
  [button.disabled, button.textContent, wrong.textContent] = [true, "Sending…", ""];
  try {
    await deed();
    if (form.isConnected) closeSheet();
  } catch (error) {
    wrong.textContent = error.message;
    [button.disabled, button.textContent] = [false, words];
    delete form.dataset.busy;
  }
}

function oneOption(path, option) {
  const input = optionInput(option);
  const node = field(option.required ? `${option.name} *` : option.name, option.description, input);
  if (option.autocomplete) node.append(suggestions(path, option, input));
  const read = async () => {
    const value = await optionValue(option, input);
    return value === undefined ? {} : { [option.name]: value };
  };
  return { node, read };
}

// Options for files that follow each other are filled from one choice, in its order.
function manyFiles(options) {
  const input = make("input", { type: "file", multiple: true, name: options[0].name, required: options.some((o) => o.required) });
  const last = options.at(-1).name;
  limitFiles(input, options.length);
  const read = async () => {
    const ids = await uploadAll(input.files);
    return Object.fromEntries(ids.map((id, k) => [options[k].name, id]));
  };
  return { node: field(`${options[0].name} … ${last}`, `Up to ${options.length} files at once; they fill ${options[0].name}, ${options[1].name} and so on.`, input), read };
}

function limitFiles(input, most) {
  input.addEventListener("change", () => {
    const count = input.files.length;
    input.setCustomValidity(count > most ? `At most ${most} files fit in here; these are ${count}.` : "");
    input.reportValidity();
  });
}

// What the bot offers while this option is typed.
function suggestions(path, option, input) {
  const list = make("datalist", { id: `${input.id}s` });
  input.setAttribute("list", list.id);
  input.setAttribute("autocomplete", "off");
  const look = () => {
    state.suggest = (choices) => list.replaceChildren(...choices.map((c) => make("option", { value: String(c.value) }, c.name)));
    return act("complete", { channel_id: state.channel, command: path, options: { [option.name]: input.value }, focused: option.name }).catch(() => undefined);
  };
  input.addEventListener("focus", look);
  input.addEventListener("input", look);
  look();
  return list;
}

function optionInput(option) {
  const common = { required: option.required ?? false, name: option.name };
  if (option.choices?.length) return chooser(option.choices.map((c) => [c.name, String(c.value)]), common);
  if (option.type === ATTACHMENT) return make("input", { type: "file", ...common });
  if (option.type === BOOLEAN) return chooser([["yes", "true"], ["no", "false"]], common);
  if (option.type === USER) return chooser((guildOf(state.channel)?.members ?? []).map((m) => [nameOf(m.user.id), m.user.id]), common);
  if (option.type === CHANNEL) return chooser((guildOf(state.channel)?.channels ?? []).filter((c) => !option.channel_types?.length || option.channel_types.includes(c.type)).map((c) => [`#${c.name}`, c.id]), common);
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
  const send = async () => {
    const values = {};
    for (const [name, read] of Object.entries(readers)) values[name] = await read();
    await act("submit", { interaction_id: interaction, values });
  };
  const form = make("form", { onsubmit: (event) => sendOnce(event, wrong, send) }, ...parts, wrong, ends("Submit"));
  sheet(modal.title, form);
}

function modalPart(part, readers) {
  if (part.type === 10) return [markdown(part.content)];
  if (part.type === 1) return part.components.map((c) => field(c.label ?? c.custom_id, null, modalInput(c, readers)));
  const input = modalInput(part.component, readers);
  const label = `${part.label}${part.component.type === 19 ? ` (up to ${part.component.max_values ?? 1})` : ""}${part.component.required === false ? "" : " *"}`;
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
    limitFiles(input, part.max_values ?? 1);
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
