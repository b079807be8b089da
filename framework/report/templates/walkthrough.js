"use strict";
// Steps through the lines of the table: what is stored after a line is what the lines up to it have changed.
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const rows = data.lines.map((_, i) => at("l" + i));
const places = new Map();
for (const one of document.querySelectorAll("[data-k]")) {
  const key = +one.dataset.k;
  places.set(key, [...(places.get(key) || []), one]);
}
let here = -1, stored = new Map(data.start);

function shown(i) { return at("all").checked || !rows[i].classList.contains("minor"); }

function put(changes) {
  for (const [key, text] of changes) stored.set(key, text);
}

// What is stored before a line: from the beginning, so that a step back needs nothing that was kept.
function before(line) {
  stored = new Map(data.start);
  for (let i = 0; i < line; i++) put(data.lines[i].c);
}

function draw() {
  const changed = new Set(here < 0 ? [] : data.lines[here].c.map(one => one[0]));
  for (const [key, elements] of places) for (const one of elements) {
    one.textContent = stored.get(key) || "";
    (one.closest(".field") || one).classList.toggle("new", changed.has(key));
  }
}

// The text that ran: of the line, or of the last one before it that has any; otherwise the first of all.
function source(line) {
  while (line > 0 && data.lines[line].s[0] < 0) line -= 1;
  const [index, number] = data.lines[line].s[0] < 0 ? [0, 0] : data.lines[line].s;
  for (const one of document.querySelectorAll(".source.shown, .ran")) one.classList.remove("shown", "ran");
  const block = at("f" + index);
  if (!block) return;
  block.classList.add("shown");
  const where = block.querySelector(".where"), text = at("f" + index + "-" + number);
  if (where && number) where.textContent = number;
  if (text) text.classList.add("ran");
}

function go(line, scroll = true) {
  if (!rows.length) return;
  line = Math.min(Math.max(line, 0), rows.length - 1);
  if (line === here + 1) put(data.lines[line].c); else before(line + 1);
  here = line;
  rows.forEach((row, i) => {
    row.classList.toggle("here", i === line);
    row.classList.toggle("later", i > line);
    if (i === line) row.setAttribute("aria-current", "step"); else row.removeAttribute("aria-current");
  });
  draw();
  source(line);
  at("now").textContent = data.lines[line].d;
  at("when").textContent = "After this step; what it changed is marked:";
  if (scroll) rows[line].scrollIntoView({ block: "nearest" });
}

function by(way) {
  let line = here + way;
  while (line > 0 && line < rows.length - 1 && !shown(line)) line += way;
  if (line >= 0 && line < rows.length && shown(line)) go(line);
}

function end(way) {
  let line = way < 0 ? 0 : rows.length - 1;
  while (line >= 0 && line < rows.length && !shown(line)) line -= way;
  go(line);
}

function every() {
  at("steps").classList.toggle("all", at("all").checked);
  if (here >= 0) { if (!shown(here)) by(1); rows[here].scrollIntoView({ block: "nearest" }); }
}

const keys = { ArrowRight: () => by(1), ArrowDown: () => by(1), j: () => by(1), n: () => by(1), ArrowLeft: () => by(-1),
  ArrowUp: () => by(-1), k: () => by(-1), b: () => by(-1), Home: () => end(-1), End: () => end(1),
  a: () => { at("all").checked = !at("all").checked; every(); } };
addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
at("next").onclick = () => by(1);
at("back").onclick = () => by(-1);
at("first").onclick = () => end(-1);
at("last").onclick = () => end(1);
at("all").onchange = every;
rows.forEach((row, i) => { row.onclick = () => go(i, false); });
if (navigator.clipboard) {
  at("copy").hidden = false;
  at("copy").onclick = () => navigator.clipboard.writeText(at("command").textContent)
    .then(() => { at("copy").textContent = "Copied"; }, () => { at("copy").hidden = true; });
}
addEventListener("beforeprint", () => document.body.classList.remove("stepping"));
addEventListener("afterprint", () => document.body.classList.add("stepping"));
at("bar").hidden = false;
document.body.classList.add("stepping");
go(data.first, false);
rows[here].closest(".steps").scrollTop = rows[here].offsetTop;
