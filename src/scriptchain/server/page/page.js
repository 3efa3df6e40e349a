import { asked, at, made, percent } from "/shared.js";
import { attention } from "/attention.js";

let hasAttention = true;

function say(text, wrong = false) {
  at("said").textContent = text;
  at("said").classList.toggle("wrong", wrong);
}

function bars(list, scores) {
  const rows = Object.entries(scores).sort((a, b) => b[1] - a[1]);
  list.replaceChildren(...rows.map(([name, share]) => {
    const row = made("li");
    const bar = made("div", "bar");
    const filled = made("div");
    filled.style.width = percent(share).replace(" ", "");
    bar.append(filled);
    bar.setAttribute("aria-hidden", "true");
    const label = made("span", "name", name);
    label.title = name;
    row.append(label, bar, made("span", "share", percent(share)));
    return row;
  }));
}

function words(found) {
  const most = Math.max(1e-9, ...found.words.map((word) => Math.abs(word.weight ?? 0)));
  const line = made("p", "words");
  // Places are counted in characters, as the server counts them; strings here are counted in halves of some.
  const letters = Array.from(found.text);
  let end = 0;
  for (const word of found.words) {
    line.append(letters.slice(end, word.start).join(""));
    end = word.end;
    if (word.weight === null) {
      line.append(word.word);
      continue;
    }
    const one = made("span", `word ${word.weight > 0 ? "for" : "against"}`, word.word);
    one.style.setProperty("--much", (0.7 * Math.abs(word.weight) / most).toFixed(2));
    one.title = `${word.weight > 0 ? "+" : ""}${word.weight.toFixed(2)}`;
    line.append(one);
  }
  line.append(letters.slice(end).join(""));
  return line;
}

async function why(text, more) {
  const found = await asked("/v1/explain", { text });
  const parts = [made("p", "note", `Blue words speak for ${found.label}, dotted ones against it.`), words(found)];
  const heavy = found.words.filter((word) => word.weight !== null).sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  parts.push(made("p", "note", `Most weight: ${heavy.slice(0, 5).map((w) => `${w.word} ${w.weight > 0 ? "+" : ""}${w.weight.toFixed(2)}`).join(", ")}.`));
  if (found.deletion !== null) {
    parts.push(made("p", "note", `Without the words of most weight the probability falls by ${percent(found.deletion)}, without as many at random by ${percent(found.random)}.`));
  }
  more.replaceChildren(...parts);
}

async function shuffled(text, before, more) {
  const order = text.trim().split(/\s+/);
  for (let place = order.length - 1; place > 0; place--) {
    const other = Math.floor(Math.random() * (place + 1));
    [order[place], order[other]] = [order[other], order[place]];
  }
  const now = (await asked("/v1/predict", { texts: [order.join(" ")], all: true })).predictions[0];
  const same = now.label === before.label ? "still" : "now";
  const list = made("ul", "bars");
  bars(list, now.scores);
  more.replaceChildren(
    made("p", "text", order.join(" ")),
    made("p", "note", `In this order it is ${same} ${now.label}: ${before.label} has ${percent(now.scores[before.label])} where it had ${percent(before.scores[before.label])}.`),
    list,
  );
}

function shown(text, prediction) {
  const one = at("answer").content.cloneNode(true).firstElementChild;
  const find = (name) => one.querySelector(name);
  find(".text").textContent = text;
  if (prediction.error) {
    find(".label").textContent = prediction.error;
    find(".row").remove();
    return one;
  }
  find(".label").textContent = `${prediction.label}, ${percent(prediction.score)}`;
  bars(find(".bars"), prediction.scores);
  if (!hasAttention) find(".look").remove();
  find(".cut").hidden = !prediction.truncated;
  const act = (button, work) => find(button).addEventListener("click", async (event) => {
    event.target.disabled = true;
    try {
      await work(find(".more"));
    } catch (error) {
      find(".more").replaceChildren(made("p", "wrong", error.message));
    }
    event.target.disabled = false;
  });
  act(".why", (more) => why(text, more));
  if (hasAttention) act(".look", async (more) => more.replaceChildren(...attention(await asked("/v1/attention", { text }))));
  act(".shuffle", (more) => shuffled(text, prediction, more));
  return one;
}

async function label(event) {
  event.preventDefault();
  const texts = at("texts").value.split("\n").filter((line) => line.trim());
  if (!texts.length) return say("Write a text first.", true);
  const button = document.querySelector("button[type=submit]");
  button.disabled = true;
  say("…");
  try {
    const told = await asked("/v1/predict", { texts, all: true });
    at("answers").replaceChildren(...told.predictions.map((one, row) => shown(texts[row], one)));
    say(`${texts.length} ${texts.length === 1 ? "text" : "texts"} labeled.`);
  } catch (error) {
    say(error.message, true);
  }
  button.disabled = false;
}

function listed(list, facts) {
  list.replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [
    made("dt", "note", name), made("dd", "", typeof value === "object" ? JSON.stringify(value) : String(value)),
  ]));
}

async function begin() {
  at("ask").addEventListener("submit", label);
  at("texts").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
  });
  try {
    const model = await asked("/v1/model");
    at("name").textContent = model.name;
    document.title = `${model.name} · ScriptChain`;
    const kind = model.config.model === "linear" ? "linear model" : `${model.config.num_layers} layers, positions ${model.config.positions}`;
    at("card").textContent = `${model.classes.length} classes: ${model.classes.join(", ")} · ${kind} · ${model.model}`;
    listed(at("facts"), { ...model.config, classes: model.classes, id: model.model });
    listed(at("limits"), await asked("/v1/limits"));
    hasAttention = model.config.model !== "linear";
    const card = await fetch("/v1/card");
    if (card.ok) at("about-text").textContent = (await card.text()).replace(/^---\n.*?\n---\n/s, "").trim();
    else at("about").remove();
  } catch (error) {
    say(error.message, true);
  }
}

begin();
