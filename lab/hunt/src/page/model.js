"use strict";
// What happened, and what of it is to be seen. Knows nothing of pixels.

const film = JSON.parse(document.getElementById("film").textContent);
const [AT, NODE, KIND, TYPE, MESSAGE, PEER, SENT, WORDS, CLOCK] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const events = film.events;
const kindOf = (e) => film.kinds[e[KIND]];

// The ends of each message, by its number; and the type of those that only say that they were lost.
const ends = new Map();
events.forEach((e, i) => {
  if (!e[MESSAGE]) return;
  const found = ends.get(e[MESSAGE]) || { send: -1, arrivals: [] };
  if (kindOf(e) === "send") found.send = i;
  else if (kindOf(e) !== "duplicate") found.arrivals.push(i);
  ends.set(e[MESSAGE], found);
});
for (const { send, arrivals } of ends.values()) {
  const typed = [send, ...arrivals].find((i) => i >= 0 && events[i][TYPE] >= 0);
  if (typed === undefined) continue;
  for (const i of arrivals) if (events[i][TYPE] < 0) events[i][TYPE] = events[typed][TYPE];
}

// The places of each node's own events, in order.
const lines = Array.from({ length: film.nodes + 1 }, () => []);
events.forEach((e, i) => { if (e[NODE]) lines[e[NODE]].push(i); });

const state = {
  from: film.from, to: Math.max(film.to, film.from + 1),
  play: null,        // the playhead; nothing for the end
  playing: false,
  selected: -1, hovered: -1,
  past: null, future: null,
  kinds: new Set(film.kinds), types: new Set(film.types.keys()), nodes: new Set(), words: "",
};
for (let n = 1; n <= film.nodes; n++) state.nodes.add(n);

const violation = events.findIndex((e) => kindOf(e) === "violation");

function isShown(e) {
  if (!state.kinds.has(kindOf(e))) return false;
  if (e[NODE] && !state.nodes.has(e[NODE])) return false;
  if (e[MESSAGE] && e[PEER] && !state.nodes.has(e[PEER])) return false;
  if (e[TYPE] >= 0 && !state.types.has(e[TYPE])) return false;
  return !state.words || e[WORDS].toLowerCase().includes(state.words);
}

// The event whose clock speaks for this one: a lost message knows what its sender knew.
function speaker(i) {
  const e = events[i];
  if (e[CLOCK]) return i;
  const send = e[MESSAGE] ? ends.get(e[MESSAGE]).send : -1;
  return send;
}

// Marks everything that happened before the selected event, and everything that it led to.
function causes() {
  state.past = state.future = null;
  if (state.selected < 0) return;
  const at = speaker(state.selected);
  if (at < 0) return;
  const clock = events[at][CLOCK], own = events[at][NODE] - 1;
  const isLine = at === state.selected;
  state.past = new Set(); state.future = new Set();
  events.forEach((e, i) => {
    if (!e[CLOCK] || i === state.selected) return;
    if (e[CLOCK][e[NODE] - 1] <= clock[e[NODE] - 1]) state.past.add(i);
    else if (isLine && clock[own] <= e[CLOCK][own]) state.future.add(i);
  });
}

// 0 for nothing selected, 1 for what has to do with the selected event, -1 for what has not.
function relation(i) {
  if (state.selected < 0 || !state.past) return 0;
  if (i === state.selected || state.past.has(i) || state.future.has(i)) return 1;
  const e = events[i];
  // A lost or doubled message belongs to its sending.
  if (!e[CLOCK] && e[MESSAGE]) {
    const send = ends.get(e[MESSAGE]).send;
    if (send >= 0 && (send === state.selected || state.past.has(send) || state.future.has(send))) return 1;
  }
  return -1;
}

function firstAt(time) {
  let low = 0, high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle][AT] < time) low = middle + 1; else high = middle;
  }
  return low;
}

function seconds(micros, digits = 6) { return (micros / 1e6).toFixed(digits); }

function clampView() {
  const least = 20, whole = Math.max(film.to - film.from, least);
  const span = Math.min(Math.max(state.to - state.from, least), whole * 1.1);
  const slack = span * 0.06;
  const middle = (state.from + state.to) / 2;
  state.from = middle - span / 2; state.to = middle + span / 2;
  if (state.from < film.from - slack) { state.to += film.from - slack - state.from; state.from = film.from - slack; }
  if (state.to > film.to + slack) { state.from -= state.to - film.to - slack; state.to = film.to + slack; }
}

function showAround(time, span) {
  const wide = span || state.to - state.from;
  state.from = time - wide / 2; state.to = time + wide / 2;
  clampView();
}

// A span around an event in which about so many events are.
function spanAround(i, count) {
  const a = events[Math.max(0, i - count)], b = events[Math.min(events.length - 1, i + count)];
  return Math.max(2 * Math.max(events[i][AT] - a[AT], b[AT] - events[i][AT]) * 1.15, 1000);
}
