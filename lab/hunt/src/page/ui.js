// Hands and eyes: controls, keys, the address of what is looked at.

const $ = (id) => document.getElementById(id);
let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawAll(); });
}
function drawAll() {
  drawDiagram(); drawOverview();
  const time = state.play === null ? film.to : state.play;
  $("clock").textContent = seconds(time, 6) + " s";
  $("scrub").value = Math.round((time - film.from) / Math.max(film.to - film.from, 1) * 10000);
  $("play").textContent = state.playing ? "Pause" : "Play";
}

function fact(name, value) {
  const term = document.createElement("dt"), text = document.createElement("dd");
  term.textContent = name; text.textContent = value; $("facts").append(term, text);
}

function select(i, quiet) {
  state.selected = i;
  causes();
  $("facts").replaceChildren(); $("steps").hidden = i < 0;
  if (i < 0) {
    $("what").textContent = "Click an event to see what led to it and what it led to.";
  } else {
    const e = events[i];
    $("what").textContent = e[WORDS];
    fact("time", seconds(e[AT]) + " s");
    fact("node", e[NODE] ? "n" + e[NODE] : "the world");
    fact("kind", kindOf(e));
    if (e[MESSAGE]) fact("message", "#" + e[MESSAGE] + (e[SENT] >= 0 ? ", sent at " + seconds(e[SENT]) + " s" : ""));
    if (e[CLOCK]) fact("clock", "[" + e[CLOCK].join(", ") + "]");
    if (state.past) { fact("past", "events of the window: " + state.past.size); fact("future", "events of the window: " + state.future.size); }
    $("other").disabled = !e[MESSAGE];
    if (e[AT] < state.from || e[AT] > state.to) showAround(e[AT]);
  }
  if (!quiet) remember();
  redraw();
}

let remembering = 0;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const parts = ["t=" + Math.round(state.from) + "-" + Math.round(state.to)];
    if (state.selected >= 0) parts.push("e=" + state.selected);
    history.replaceState(null, "", "#" + parts.join("&"));
  }, 150);
}
function recall() {
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value] = part.split("=");
    const times = name === "t" && /^(-?\d+)-(\d+)$/.exec(value);
    if (times) { state.from = +times[1]; state.to = +times[2]; clampView(); }
    if (name === "e" && events[+value]) select(+value, true);
    if (name === "theme") setTheme(value === "dark");
  }
  redraw();
}

function zoom(factor, x) {
  const time = x === undefined ? (state.from + state.to) / 2 : timeOf(Math.max(x, GUTTER));
  state.from = time - (time - state.from) * factor; state.to = time + (state.to - time) * factor;
  clampView(); remember(); redraw();
}
function pan(share) {
  const by = (state.to - state.from) * share;
  state.from += by; state.to += by; clampView(); remember(); redraw();
}
function fit() { state.from = film.from; state.to = film.to; const edge = (film.to - film.from) * 0.02; state.from -= edge; state.to += edge; clampView(); remember(); redraw(); }
function toViolation() {
  if (violation < 0) return;
  showAround(events[violation][AT], spanAround(violation, Math.min(60, Math.ceil(violation * 0.8))));
  let cause = violation - 1;
  while (cause >= 0 && !events[cause][CLOCK]) cause--;
  select(cause);
}

// The event under a point: the nearest within reach; clicking again goes to the next one there.
function pick(x, y) {
  const first = firstAt(timeOf(x - 12)), last = firstAt(timeOf(x + 12)), found = [];
  for (let i = first; i < last; i++) {
    const e = events[i];
    if (!e[NODE] || !isShown(e)) continue;
    const dx = xOf(e[AT]) - x, dy = yOf(e[NODE]) - y, far = Math.hypot(dx, dy);
    if (far < 12) found.push([far - (LOUD.has(kindOf(e)) ? 3 : 0), i]);
  }
  found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return found.map((pair) => pair[1]);
}
function step(list, by) {
  const seen = list.filter((i) => isShown(events[i]));
  if (!seen.length) return;
  const at = seen.indexOf(state.selected);
  const middle = (state.from + state.to) / 2;
  const next = at >= 0 ? at + by : seen.findIndex((i) => events[i][AT] >= middle);
  if (next >= 0 && next < seen.length) select(seen[next]);
}
function stepNode(by) {
  const node = state.selected >= 0 ? events[state.selected][NODE] : shownNodes()[0];
  if (node) step(lines[node], by);
}
const every = events.map((_, i) => i);
function otherEnd() {
  const e = events[state.selected];
  if (!e || !e[MESSAGE]) return;
  const { send, arrivals } = ends.get(e[MESSAGE]), all = [send, ...arrivals].filter((i) => i >= 0);
  select(all[(all.indexOf(state.selected) + 1) % all.length]);
}

let lastFrame = 0;
function play(on) {
  state.playing = on;
  if (on && (state.play === null || state.play >= film.to)) state.play = Math.max(state.from, film.from);
  lastFrame = performance.now();
  if (on) requestAnimationFrame(tick);
  redraw();
}
function tick(now) {
  if (!state.playing) return;
  state.play += (now - lastFrame) * 1000 * Number($("speed").value);
  lastFrame = now;
  if (state.play >= film.to) { state.play = null; state.playing = false; }
  else if (state.play > state.to - (state.to - state.from) * 0.1 || state.play < state.from) {
    const span = state.to - state.from; state.from = state.play - span * 0.3; state.to = state.from + span; clampView();
  }
  drawAll();
  if (state.playing) requestAnimationFrame(tick);
}

function choices(box, entries, chosen, swatch) {
  const inputs = [];
  for (const [key, name, count] of entries) {
    const label = document.createElement("label"), input = document.createElement("input");
    input.type = "checkbox"; input.checked = true;
    input.onchange = () => { input.checked ? chosen.add(key) : chosen.delete(key); redraw(); };
    label.append(input);
    if (swatch) { const s = document.createElement("span"); s.className = "swatch"; s.style.background = swatch(key); label.append(s); }
    const small = document.createElement("small"); small.textContent = count;
    label.append(name, small); box.append(label); inputs.push([key, input]);
  }
  const flip = document.createElement("button");
  flip.className = "all"; flip.textContent = "none";
  flip.onclick = () => {
    const on = flip.textContent === "all"; flip.textContent = on ? "none" : "all";
    for (const [key, input] of inputs) { input.checked = on; on ? chosen.add(key) : chosen.delete(key); }
    redraw();
  };
  if (inputs.length > 1) box.append(flip);
}

function buildLegend() {
  const box = $("legend"); box.replaceChildren();
  const row = (paint, words) => {
    const canvas = document.createElement("canvas"), text = document.createElement("span"), scale = window.devicePixelRatio || 1;
    canvas.width = 24 * scale; canvas.height = 16 * scale;
    const pen = canvas.getContext("2d"); pen.scale(scale, scale); paint(pen);
    text.textContent = words; box.append(canvas, text);
  };
  const mark = (kind, color) => (pen) => { pen.fillStyle = pen.strokeStyle = color || kindColor(kind); symbol(pen, kind, 12, 8, ["", 0, 0, 0, 0, 0, 0, " hears Ok "]); };
  row((pen) => { pen.strokeStyle = pen.fillStyle = HUES[0]; arrow(pen, 2, 2, 22, 14, true); }, "a message, coloured by its type");
  row((pen) => { pen.strokeStyle = ink.bad; pen.setLineDash([4, 3]); arrow(pen, 2, 2, 14, 10, false); pen.setLineDash([]); pen.lineWidth = 1.8; cross(pen, 16, 11, 4); }, "a message that was lost");
  const words = {
    leads: "leads, for all that it knows", down: "down", paused: "stands still", slow: "slow, it or its disk",
    clock: "its clock goes wrong", full: "no space on its disk", apart: "not joined with a majority",
  };
  for (const sort of film.sorts) row((pen) => {
    pen.fillStyle = pen.strokeStyle = ink[sort]; pen.globalAlpha = sort === "apart" ? 0.25 : 0.6; pen.fillRect(1, 2, 22, 12);
    if (sort === "down" || sort === "paused") { pen.globalAlpha = 0.9; hatch(pen, 1, 2, 22, 12); }
  }, words[sort]);
  row(mark("role"), "leads from here on (small: follows)"); row(mark("crash"), "crash"); row(mark("restart"), "up again");
  row(mark("commit"), "first to know an entry committed"); row(mark("apply"), "applied"); row(mark("install"), "installed a state");
  row(mark("call"), "a client asks"); row(mark("return"), "a client has its answer (red: failed or unknown)");
  row(mark("clock"), "a clock fault"); row(mark("disk"), "a disk fault");
  row((pen) => { pen.fillStyle = ink.past; pen.fillRect(2, 3, 9, 10); pen.fillStyle = ink.future; pen.fillRect(13, 3, 9, 10); }, "past and future of the selected event");
  row((pen) => { pen.fillStyle = ink.bad; pen.fillRect(11, 0, 2.5, 16); }, "a broken promise");
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  readColors(); buildLegend(); redraw();
}

function pointers() {
  let grip = null;
  const place = (canvas, event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  diagram.onpointerdown = (event) => { diagram.setPointerCapture(event.pointerId); grip = { x: event.clientX, from: state.from, to: state.to, moved: false }; };
  diagram.onpointermove = (event) => {
    const [x, y] = place(diagram, event);
    if (grip) {
      const by = (event.clientX - grip.x) / (size.w - GUTTER) * (grip.to - grip.from);
      if (Math.abs(event.clientX - grip.x) > 3) { grip.moved = true; diagram.classList.add("drag"); $("tip").hidden = true; }
      if (grip.moved) { state.from = grip.from - by; state.to = grip.to - by; clampView(); redraw(); }
      return;
    }
    const found = pick(x, y), hit = found.length ? found[0] : -1;
    if (hit !== state.hovered) { state.hovered = hit; redraw(); }
    const tip = $("tip");
    tip.hidden = hit < 0;
    if (hit < 0) return;
    tip.textContent = seconds(events[hit][AT]) + " s: " + events[hit][WORDS] + (found.length > 1 ? " (and " + (found.length - 1) + " more here)" : "");
    tip.style.left = Math.max(4, Math.min(x + 14, size.w - tip.offsetWidth - 6)) + "px";
    tip.style.top = Math.max(4, Math.min(y + 16, size.h - tip.offsetHeight - 6)) + "px";
  };
  diagram.onpointerup = (event) => {
    const moved = grip && grip.moved; grip = null; diagram.classList.remove("drag");
    if (moved) return remember();
    const found = pick(...place(diagram, event));
    if (!found.length) return select(-1);
    const at = found.indexOf(state.selected);
    select(found[(at + 1) % found.length]);
  };
  diagram.onpointerleave = () => { $("tip").hidden = true; state.hovered = -1; redraw(); };
  diagram.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x] = place(diagram, event);
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) pan((event.deltaX || event.deltaY) / 1200);
    else zoom(Math.exp(event.deltaY / 500), x);
  }, { passive: false });
  const slide = (event) => {
    const [x] = place(overview, event), box = overview.getBoundingClientRect();
    showAround(film.from + x / box.width * (film.to - film.from)); remember(); redraw();
  };
  overview.onpointerdown = (event) => { overview.setPointerCapture(event.pointerId); slide(event); };
  overview.onpointermove = (event) => { if (event.buttons) slide(event); };
}

function keys(event) {
  const typing = event.target.matches("input[type=search], select, input[type=range]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15), "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6),
    0: fit, Home: () => showAround(film.from), End: () => showAround(film.to), n: () => stepNode(1), p: () => stepNode(-1),
    "]": () => step(every, 1), "[": () => step(every, -1), m: otherEnd, v: toViolation, Escape: () => { state.playing = false; state.play = null; select(-1); },
  };
  if (event.key === " ") { if (event.target.tagName === "BUTTON") return; event.preventDefault(); return play(!state.playing); }
  if (acts[event.key]) { event.preventDefault(); acts[event.key](); redraw(); }
}

function count(test) { return events.reduce((sum, e) => sum + (test(e) ? 1 : 0), 0); }

function begin() {
  $("title").textContent = film.title;
  const verdict = $("verdict");
  verdict.className = film.violation ? "bad" : "good";
  verdict.textContent = film.violation
    ? film.violation.property + " broken at " + seconds(film.violation.at) + " s: " + film.violation.detail + ". The promise: " + film.violation.promise + "."
    : "every promise was kept for " + seconds(film.end, 3) + " virtual seconds · " + film.nodes + " nodes, " + film.total + " events, trace " + film.trace;
  if (film.note) { $("note").textContent = film.note; $("note").hidden = false; }
  $("broken").hidden = violation < 0;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", (event) => setTheme(event.matches));
  setTheme(dark.matches);
  choices($("nodes"), [...state.nodes].map((n) => [n, "n" + n, lines[n].length]), state.nodes);
  choices($("types"), film.types.map((name, i) => [i, name, count((e) => e[TYPE] === i)]), state.types, typeColor);
  choices($("kinds"), film.kinds.map((name, i) => [name, name, count((e) => e[KIND] === i)]).filter((row) => row[2]), state.kinds);
  $("words").oninput = () => { state.words = $("words").value.toLowerCase(); redraw(); };
  $("play").onclick = () => play(!state.playing);
  $("scrub").oninput = () => {
    state.play = film.from + $("scrub").value / 10000 * (film.to - film.from);
    if (state.play < state.from || state.play > state.to) showAround(state.play);
    if (state.play >= film.to) state.play = null;
    redraw();
  };
  $("in").onclick = () => zoom(0.6); $("out").onclick = () => zoom(1 / 0.6); $("fit").onclick = fit; $("broken").onclick = toViolation;
  $("theme").onclick = () => setTheme(document.documentElement.dataset.theme !== "dark");
  $("before").onclick = () => stepNode(-1); $("after").onclick = () => stepNode(1);
  $("other").onclick = otherEnd; $("clear").onclick = () => select(-1);
  pointers();
  window.addEventListener("keydown", keys); window.addEventListener("resize", redraw); window.addEventListener("hashchange", recall);
  if (violation >= 0) toViolation();
  else if (film.focus) { [state.from, state.to] = film.focus; clampView(); }
  else fit();
  if (location.hash) recall();
  drawAll();
}
begin();
