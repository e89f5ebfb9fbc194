// The pictures. Reads `state`, writes pixels.

const diagram = document.getElementById("diagram"), overview = document.getElementById("overview");
const GUTTER = 46, AXIS = 24, WIRES = 24, FOOT = 10;
const HUES = ["#3b82c4", "#7d8590", "#c2579b", "#8a9a2c", "#d0803a", "#5b6fd6", "#3aa37a", "#b05fd0", "#8c6d4f", "#4aa3b8", "#d05f5f", "#6fae3f", "#9b8df0", "#c9a227"];
let ink = {};

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "panel", "ink", "dim", "line", "accent", "bad", "good", "past", "future", ...film.sorts])
    ink[name] = style.getPropertyValue("--" + name).trim();
}

function typeColor(type) { return type < 0 ? ink.dim : HUES[type % HUES.length]; }

function fitCanvas(canvas) {
  const scale = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const [w, h] = [Math.round(box.width), Math.round(box.height)];
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    canvas.width = Math.round(w * scale); canvas.height = Math.round(h * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, w, h);
  pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
  pen.textBaseline = "middle";
  return [pen, w, h];
}

let size = { w: 0, h: 0 };
const shownNodes = () => [...state.nodes].sort((a, b) => a - b);
function yOf(node) {
  const nodes = shownNodes(), at = nodes.indexOf(node);
  const top = AXIS + WIRES, room = size.h - top - FOOT;
  return top + room * ((at < 0 ? 0 : at) + 0.5) / Math.max(nodes.length, 1);
}
const xOf = (time) => GUTTER + (time - state.from) / (state.to - state.from) * (size.w - GUTTER);
const timeOf = (x) => state.from + (x - GUTTER) / (size.w - GUTTER) * (state.to - state.from);

function clipText(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let cut = text;
  while (cut.length > 1 && pen.measureText(cut + "…").width > width) cut = cut.slice(0, -1);
  return cut.length > 1 ? cut + "…" : "";
}

function ticks(span, most) {
  const raw = span / most, base = 10 ** Math.floor(Math.log10(raw));
  return base * [1, 2, 5, 10].find((factor) => factor * base >= raw);
}

function drawAxis(pen) {
  const step = ticks(state.to - state.from, (size.w - GUTTER) / 110);
  const digits = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step) + 1e-9)));
  pen.textAlign = "center"; pen.lineWidth = 1;
  for (let t = Math.ceil(state.from / step) * step; t <= state.to; t += step) {
    const x = xOf(t);
    if (x < GUTTER) continue;
    pen.strokeStyle = ink.line; pen.globalAlpha = 0.6;
    pen.beginPath(); pen.moveTo(x, AXIS - 4); pen.lineTo(x, size.h); pen.stroke();
    pen.globalAlpha = 1; pen.fillStyle = ink.dim;
    if (x > GUTTER + 24 && x < size.w - 30 && t > -step / 2) pen.fillText(seconds(Math.round(t), digits) + " s", x, AXIS / 2);
  }
}

function hatch(pen, x, y, w, h) {
  pen.save(); pen.beginPath(); pen.rect(x, y, w, h); pen.clip();
  pen.beginPath();
  for (let a = x - h - (x % 7); a < x + w; a += 7) { pen.moveTo(a, y + h); pen.lineTo(a + h, y); }
  pen.lineWidth = 1.5; pen.stroke(); pen.restore();
}

// Half the height of each sort's band, so that those that overlap all stay visible.
const THICK = { apart: 22, leads: 9, down: 9, paused: 9, slow: 14, clock: 17, full: 14 };

function drawBands(pen) {
  const order = ["apart", "clock", "slow", "full", "leads", "paused", "down"];
  const room = (size.h - AXIS - WIRES - FOOT) / Math.max(shownNodes().length, 1);
  for (const sort of order) for (const [node, place, from, to, label] of film.bands) {
    if (film.sorts[place] !== sort || !state.nodes.has(node) || to < state.from || from > state.to) continue;
    const x = Math.max(xOf(from), GUTTER), w = Math.max(Math.min(xOf(to), size.w) - x, 1);
    const half = Math.min(THICK[sort], room / 2 - 1), y = yOf(node) - half;
    pen.globalAlpha = sort === "apart" ? 0.16 : sort === "leads" ? 0.55 : 0.3;
    pen.fillStyle = pen.strokeStyle = ink[sort];
    pen.fillRect(x, y, w, 2 * half);
    if (sort === "down" || sort === "paused") { pen.globalAlpha = 0.8; hatch(pen, x, y, w, 2 * half); }
  }
  pen.globalAlpha = 1;
}

// Words about bands come after the arrows, each on a ground of its own.
function drawLabels(pen) {
  const room = (size.h - AXIS - WIRES - FOOT) / Math.max(shownNodes().length, 1);
  if (room < 60) return;
  pen.textAlign = "left";
  for (const [node, place, from, to, label] of film.bands) {
    const sort = film.sorts[place];
    if (!state.nodes.has(node) || to < state.from || from > state.to) continue;
    const x = Math.max(xOf(from), GUTTER), w = Math.min(xOf(to), size.w) - x;
    const text = w > 46 ? clipText(pen, label, w - 8) : "";
    if (!text) continue;
    const y = yOf(node) + { apart: 30, slow: 30, full: 30, clock: -30, leads: -16, down: -16, paused: 16 }[sort];
    pen.globalAlpha = 0.8; pen.fillStyle = ink.back;
    pen.fillRect(x + 2, y - 7, pen.measureText(text).width + 4, 14);
    pen.globalAlpha = 1; pen.fillStyle = sort === "leads" || sort === "down" ? ink.ink : ink[sort];
    pen.fillText(text, x + 4, y);
  }
}

function drawWires(pen) {
  pen.textAlign = "left";
  for (const [from, to, label] of film.splits) {
    if (to < state.from || from > state.to) continue;
    const x = Math.max(xOf(from), GUTTER), w = Math.max(Math.min(xOf(to), size.w) - x, 1);
    pen.fillStyle = ink.apart; pen.globalAlpha = 0.25;
    pen.fillRect(x, AXIS + 2, w, WIRES - 6);
    pen.globalAlpha = 1; pen.fillStyle = ink.apart;
    pen.fillRect(x, AXIS + 2, 1, WIRES - 6);
    pen.fillStyle = ink.ink;
    if (w > 40) pen.fillText(clipText(pen, label, w - 8), x + 4, AXIS + WIRES / 2 - 1);
  }
}

function drawLines(pen) {
  pen.textAlign = "left";
  for (const node of shownNodes()) {
    const y = yOf(node);
    pen.strokeStyle = ink.dim; pen.lineWidth = 1; pen.globalAlpha = 0.8;
    pen.beginPath(); pen.moveTo(GUTTER, y); pen.lineTo(size.w, y); pen.stroke();
  }
  pen.globalAlpha = 1;
}

// Names come last: nothing is drawn over them.
function drawNames(pen) {
  pen.fillStyle = ink.panel; pen.fillRect(0, 0, GUTTER, size.h);
  pen.strokeStyle = ink.line; pen.beginPath(); pen.moveTo(GUTTER, 0); pen.lineTo(GUTTER, size.h); pen.stroke();
  pen.fillStyle = ink.ink; pen.textAlign = "left"; pen.font = '600 14px system-ui, "DejaVu Sans", sans-serif';
  for (const node of shownNodes()) pen.fillText("n" + node, 12, yOf(node));
  pen.font = '11px system-ui, "DejaVu Sans", sans-serif'; pen.fillStyle = ink.dim;
  pen.fillText("time", 10, AXIS / 2); pen.fillText("wires", 10, AXIS + WIRES / 2 - 1);
  pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
}

function cross(pen, x, y, r) {
  pen.beginPath(); pen.moveTo(x - r, y - r); pen.lineTo(x + r, y + r);
  pen.moveTo(x - r, y + r); pen.lineTo(x + r, y - r); pen.stroke();
}

function arrow(pen, x1, y1, x2, y2, head) {
  pen.beginPath(); pen.moveTo(x1, y1); pen.lineTo(x2, y2); pen.stroke();
  if (!head) return;
  const angle = Math.atan2(y2 - y1, x2 - x1);
  pen.beginPath(); pen.moveTo(x2, y2);
  pen.lineTo(x2 - 8 * Math.cos(angle - 0.35), y2 - 8 * Math.sin(angle - 0.35));
  pen.lineTo(x2 - 8 * Math.cos(angle + 0.35), y2 - 8 * Math.sin(angle + 0.35));
  pen.closePath(); pen.fill();
}

function tint(i, usual) {
  if (i === state.selected) return ink.ink;
  if (state.past && state.past.has(i)) return ink.past;
  if (state.future && state.future.has(i)) return ink.future;
  return usual;
}

// How visible an event is: what came after the playhead, or has nothing to do with what is selected, steps back.
function strength(i, usual) {
  if (state.play !== null && events[i][AT] > state.play) return 0.08;
  const near = relation(i);
  return near === 0 ? usual : near > 0 ? Math.max(usual, 0.85) : 0.1;
}

// An arrival draws its arrow: from where and when it was sent.
function drawMessage(pen, e, i, crowd) {
  const kind = kindOf(e);
  if (kind !== "deliver" && kind !== "lose") return;
  const y1 = yOf(e[PEER]), y2 = yOf(e[NODE]);
  const sent = e[SENT] >= 0 ? e[SENT] : e[AT];
  const x1 = xOf(sent), x2 = xOf(e[AT]);
  const lost = kind === "lose";
  pen.strokeStyle = pen.fillStyle = tint(i, lost ? ink.bad : typeColor(e[TYPE]));
  pen.globalAlpha = strength(i, lost ? Math.max(crowd, 0.5) : crowd);
  pen.lineWidth = relation(i) > 0 ? 1.8 : 1.1;
  if (!lost) return arrow(pen, x1, y1, x2, y2, crowd > 0.4);
  // Lost at once or on the way: it ends halfway; lost at the door: just before the receiver's line.
  const atOnce = x2 - x1 < 1, share = atOnce ? 0.42 : 0.86;
  const ex = atOnce ? x1 + 7 : x1 + (x2 - x1) * share, ey = y1 + (y2 - y1) * share;
  pen.setLineDash([4, 3]); arrow(pen, x1, y1, ex, ey, false); pen.setLineDash([]);
  pen.lineWidth = 1.8; cross(pen, ex, ey, crowd > 0.25 ? 4 : 2.5);
}

const LOUD = new Set(["crash", "restart", "role", "pause", "resume", "install", "disk", "clock", "note"]);

function symbol(pen, kind, x, y, e) {
  const dot = (r, full = true) => { pen.beginPath(); pen.arc(x, y, r, 0, 7); full ? pen.fill() : pen.stroke(); };
  const shape = (...points) => {
    pen.beginPath(); points.forEach(([dx, dy], at) => at ? pen.lineTo(x + dx, y + dy) : pen.moveTo(x + dx, y + dy));
    pen.closePath(); pen.fill();
  };
  pen.lineWidth = 2;
  switch (kind) {
    case "send": case "deliver": dot(2.2); break;
    case "duplicate": pen.lineWidth = 1.2; dot(4, false); break;
    case "crash": pen.lineWidth = 3; cross(pen, x, y, 6); break;
    case "restart": shape([-5, 5], [5, 5], [0, -6]); break;
    case "role": e && / follows /.test(e[WORDS]) ? shape([0, -4], [3, 0], [0, 4], [-3, 0]) : shape([0, -8], [6, 0], [0, 8], [-6, 0]); break;
    case "commit": shape([-3.5, -3.5], [3.5, -3.5], [3.5, 3.5], [-3.5, 3.5]); break;
    case "apply": pen.fillRect(x - 1, y - 5, 2, 10); break;
    case "install": pen.strokeRect(x - 5, y - 5, 10, 10); break;
    case "call": pen.lineWidth = 1.5; dot(3.5, false); break;
    case "return": dot(3.5); break;
    case "pause": pen.fillRect(x - 5, y - 6, 3, 12); pen.fillRect(x + 1, y - 6, 3, 12); break;
    case "resume": shape([-4, -6], [6, 0], [-4, 6]); break;
    case "slow": case "disk": pen.fillRect(x - 4, y - 6, 8, 12); break;
    case "clock": pen.lineWidth = 1.5; dot(5.5, false); pen.beginPath(); pen.moveTo(x, y - 4); pen.lineTo(x, y); pen.lineTo(x + 3, y); pen.stroke(); break;
    case "cut": case "mend": case "clog": pen.fillRect(x - 0.75, y - 8, 1.5, 16); break;
    default: dot(3);
  }
}

function kindColor(kind, e) {
  switch (kind) {
    case "crash": return ink.bad;
    case "restart": case "resume": case "mend": return ink.good;
    case "role": return e && / follows /.test(e[WORDS]) ? ink.dim : ink.leads;
    case "cut": case "clog": return ink.apart;
    case "pause": return ink.paused;
    case "clock": return ink.clock;
    case "disk": case "slow": return ink.slow;
    case "commit": case "install": return ink.good;
    case "return": return e && / hears Ok /.test(e[WORDS]) ? ink.good : ink.bad;
    case "call": return ink.accent;
    default: return ink.dim;
  }
}

function drawSymbols(pen, first, last, crowd) {
  for (const loud of [false, true]) for (let i = first; i < last; i++) {
    const e = events[i], kind = kindOf(e);
    if (!e[NODE] || kind === "lose" || LOUD.has(kind) !== loud || !isShown(e)) continue;
    const near = relation(i);
    if (!loud && crowd < 0.15 && near <= 0) continue;
    const base = e[MESSAGE] ? typeColor(e[TYPE]) : kindColor(kind, e);
    pen.fillStyle = pen.strokeStyle = tint(i, base);
    pen.globalAlpha = strength(i, loud ? 1 : Math.max(crowd, 0.35));
    symbol(pen, kind, xOf(e[AT]), yOf(e[NODE]), e);
  }
  pen.globalAlpha = 1;
}

function drawWorld(pen, first, last) {
  for (let i = first; i < last; i++) {
    const e = events[i], kind = kindOf(e);
    if (kind !== "peace" && kind !== "violation") continue;
    const bad = kind === "violation", x = xOf(e[AT]);
    pen.strokeStyle = pen.fillStyle = bad ? ink.bad : ink.good;
    pen.lineWidth = bad ? 2.5 : 1.5; pen.setLineDash(bad ? [] : [6, 4]);
    pen.beginPath(); pen.moveTo(x, AXIS); pen.lineTo(x, size.h); pen.stroke(); pen.setLineDash([]);
    const text = bad && film.violation ? film.violation.property : "peace", wide = pen.measureText(text).width + 12;
    const left = x + wide > size.w ? x - wide : x;
    pen.fillRect(left, AXIS - 20, wide, 18);
    pen.fillStyle = ink.back; pen.textAlign = "left"; pen.fillText(text, left + 6, AXIS - 11);
  }
}

function ring(pen, i, radius, color) {
  if (i < 0 || !events[i][NODE] || !state.nodes.has(events[i][NODE])) return;
  pen.strokeStyle = color; pen.lineWidth = 2;
  pen.beginPath(); pen.arc(xOf(events[i][AT]), yOf(events[i][NODE]), radius, 0, 7); pen.stroke();
}

function drawDiagram() {
  const [pen, w, h] = fitCanvas(diagram);
  size = { w, h };
  const first = firstAt(state.from), last = firstAt(state.to + 1);
  // The more there is to see, the fainter each of it.
  const dense = (last - first) / Math.max(w - GUTTER, 1);
  const crowd = dense < 0.6 ? 0.9 : dense < 2 ? 0.5 : dense < 6 ? 0.22 : 0.08;
  drawAxis(pen); drawWires(pen); drawBands(pen); drawLines(pen);
  pen.save(); pen.beginPath(); pen.rect(GUTTER, AXIS, w - GUTTER, h - AXIS); pen.clip();
  // Arrows that end to the right of the view begin in it: look a little further.
  const beyond = Math.min(events.length, last + 400);
  for (let i = first; i < beyond; i++) {
    const e = events[i];
    if (e[NODE] && e[MESSAGE] && isShown(e) && (i < last || (e[SENT] >= 0 && e[SENT] <= state.to))) drawMessage(pen, e, i, crowd);
  }
  pen.globalAlpha = 1;
  drawSymbols(pen, first, last, crowd);
  drawLabels(pen);
  ring(pen, state.hovered, 8, ink.accent); ring(pen, state.selected, 9, ink.ink);
  pen.restore();
  drawWorld(pen, first, last);
  if (state.play !== null && state.play >= state.from && state.play <= state.to) {
    pen.strokeStyle = ink.accent; pen.lineWidth = 1.5; pen.beginPath();
    pen.moveTo(xOf(state.play), AXIS); pen.lineTo(xOf(state.play), h); pen.stroke();
  }
  drawNames(pen);
}

function drawOverview() {
  const [pen, w, h] = fitCanvas(overview);
  const whole = Math.max(film.to - film.from, 1), x = (t) => (t - film.from) / whole * w;
  const bins = new Uint32Array(Math.ceil(w / 2) + 1);
  for (const e of events) bins[Math.floor(x(e[AT]) / 2)]++;
  const most = Math.max(...bins, 1);
  for (const [from, to] of film.splits) { pen.fillStyle = ink.apart; pen.globalAlpha = 0.25; pen.fillRect(x(from), 0, Math.max(x(to) - x(from), 1), h); }
  pen.globalAlpha = 0.55; pen.fillStyle = ink.dim;
  bins.forEach((count, at) => { const tall = count / most * (h - 22); pen.fillRect(at * 2, h - tall, 1.6, tall); });
  pen.globalAlpha = 1;
  for (const [node, place, from, to] of film.bands) {
    if (film.sorts[place] !== "leads") continue;
    pen.fillStyle = ink.leads; pen.fillRect(x(from), 3 + (node - 1) * 12 / film.nodes, Math.max(x(to) - x(from), 1), Math.max(12 / film.nodes - 0.5, 1));
  }
  if (film.violation) { pen.fillStyle = ink.bad; pen.fillRect(x(film.violation.at) - 1, 0, 2, h); }
  const [left, right] = [x(state.from), x(state.to)];
  pen.fillStyle = ink.accent; pen.globalAlpha = 0.14; pen.fillRect(left, 0, Math.max(right - left, 2), h);
  pen.globalAlpha = 1; pen.strokeStyle = ink.accent; pen.lineWidth = 1.5;
  pen.strokeRect(left + 0.75, 0.75, Math.max(right - left, 3) - 1.5, h - 1.5);
  if (state.play !== null) { pen.fillStyle = ink.accent; pen.fillRect(x(state.play) - 1, 0, 2, h); }
}
