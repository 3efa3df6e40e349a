// What each head looks at: a choice of layer and head, the tokens colored by what one of them takes, and the whole map.
import { made, percent } from "/shared.js";

const shown = (token) => token || "·";  // a part of a character

function chooser(name, options) {
  const label = made("label", "choice", `${name} `);
  const select = made("select");
  select.append(...options.map(([value, text]) => Object.assign(made("option", "", text), { value })));
  label.append(select);
  return [label, select];
}

function meanOf(heads) {
  return heads[0].map((row, one) => row.map((_, other) => heads.reduce((sum, head) => sum + head[one][other], 0) / heads.length));
}

function draw(canvas, map, chosen) {
  const cell = Math.max(4, Math.floor(512 / map.length));
  canvas.width = canvas.height = cell * map.length;
  const pen = canvas.getContext("2d");
  const color = getComputedStyle(canvas).getPropertyValue("--for");
  const most = Math.max(1e-9, ...map.flat());
  map.forEach((row, one) => row.forEach((weight, other) => {
    pen.fillStyle = `rgba(${color}, ${(weight / most).toFixed(3)})`;
    pen.fillRect(other * cell, one * cell, cell, cell);
  }));
  pen.strokeStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 2;
  pen.strokeRect(1, chosen * cell + 1, canvas.width - 2, Math.max(2, cell - 2));
}

export function attention(found) {
  const { tokens, weights } = found;
  const [layerLabel, layer] = chooser("Layer", weights.map((_, number) => [number, String(number + 1)]));
  const [headLabel, head] = chooser("Head", [["mean", "mean of all"], ...weights[0].map((_, number) => [number, String(number + 1)])]);
  const row = made("div", "row");
  row.append(layerLabel, headLabel);
  const line = made("div", "tokens");
  const canvas = made("canvas", "map");
  canvas.setAttribute("role", "img");
  const told = made("p", "note");
  told.setAttribute("aria-live", "polite");
  let chosen = 0;
  const buttons = tokens.map((token, number) => {
    const button = made("button", "token", shown(token));
    button.type = "button";
    button.addEventListener("click", () => { chosen = number; show(); });
    return button;
  });
  line.append(...buttons);

  function show() {
    const heads = weights[layer.value];
    const map = head.value === "mean" ? meanOf(heads) : heads[head.value];
    const most = Math.max(1e-9, ...map[chosen]);
    buttons.forEach((button, number) => {
      button.setAttribute("aria-pressed", String(number === chosen));
      button.style.setProperty("--much", (0.8 * map[chosen][number] / most).toFixed(2));
      button.title = percent(map[chosen][number]);
    });
    const first = map[chosen].map((weight, number) => [weight, number]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    told.textContent = `“${shown(tokens[chosen])}” takes most from ${first.map(([weight, number]) => `${shown(tokens[number])} ${percent(weight)}`).join(", ")}.`;
    canvas.setAttribute("aria-label", `Attention of layer ${Number(layer.value) + 1}, head ${head.value === "mean" ? "mean of all" : Number(head.value) + 1}: a row a token, a column for what it looks at.`);
    draw(canvas, map, chosen);
  }

  for (const select of [layer, head]) select.addEventListener("change", show);
  canvas.addEventListener("click", (event) => {
    chosen = Math.min(tokens.length - 1, Math.floor(event.offsetY / canvas.clientHeight * tokens.length));
    show();
  });
  show();
  const cut = found.truncated ? [made("p", "note", `The first ${tokens.length} tokens of the text.`)] : [];
  return [
    row, line, told, canvas, ...cut,
    made("p", "note", "The map has a row a token and a column for what it looks at. Where a head looks is not what the answer rests on; “Why?” measures that."),
  ];
}
