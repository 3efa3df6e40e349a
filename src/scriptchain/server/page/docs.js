// The OpenAPI document for people: every route with what it takes and answers, and a request to try.
import { at, made } from "/shared.js";

const named = (schema, all) => (schema.$ref ? all[schema.$ref.split("/").pop()] : schema);

function kind(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items ?? {})}`;
  return schema.type ?? "anything";
}

function fields(schema, all) {
  const list = made("dl");
  const wanted = named(schema, all);
  for (const [name, one] of Object.entries(wanted.properties ?? {})) {
    const needed = (wanted.required ?? []).includes(name) ? ", required" : "";
    list.append(made("dt", "", name), made("dd", "note", `${kind(one)}${needed}. ${one.description ?? ""}`));
  }
  return list;
}

const EXAMPLES = { texts: ["a text", "another"], text: "a text", all: true };

function example(schema) {
  const wanted = Object.entries(EXAMPLES).filter(([name]) => name in (schema.properties ?? {}));
  return JSON.stringify(Object.fromEntries(wanted), null, 1);
}

function route(path, method, about, all) {
  const one = made("article");
  const body = about.requestBody?.content["application/json"]?.schema;
  one.append(made("h2", "route", `${method.toUpperCase()} ${path}`), made("p", "", about.description ?? about.summary));
  const box = made("textarea");
  if (body) {
    one.append(fields(body, all));
    box.rows = 4;
    box.value = example(named(body, all));
    box.setAttribute("aria-label", `Body of ${path}`);
    one.append(box);
  }
  const answers = made("dl");
  for (const [code, answer] of Object.entries(about.responses)) {
    const schema = answer.content?.["application/json"]?.schema;
    answers.append(made("dt", "", code), made("dd", "note", `${answer.description}${schema && kind(schema) !== "anything" ? ` ${kind(schema)}` : ""}`));
  }
  const details = made("details");
  details.append(made("summary", "", "Answers"), answers);
  const send = made("button", "", "Send");
  send.type = "button";
  const output = made("pre", "output");
  output.setAttribute("aria-live", "polite");
  send.addEventListener("click", async () => {
    try {
      const init = body ? { method: "POST", headers: { "content-type": "application/json" }, body: box.value } : { method: method.toUpperCase() };
      const answer = await fetch(path, init);
      const text = await answer.text();
      const json = (answer.headers.get("content-type") ?? "").includes("json");
      output.textContent = `${answer.status}\n${json ? JSON.stringify(JSON.parse(text), null, 1) : text}`;
    } catch {
      output.textContent = "the server cannot be reached";
    }
  });
  const row = made("div", "row");
  row.append(send);
  one.append(row, output, details);
  return one;
}

async function begin() {
  try {
    const told = await (await fetch("/openapi.json")).json();
    const all = told.components?.schemas ?? {};
    at("routes").replaceChildren(...Object.entries(told.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, about]) => route(path, method, about, all))));
  } catch {
    at("said").textContent = "the server cannot be reached";
  }
}

begin();
