const element = (id) => document.getElementById(id);
const LANE = 36, BAR_TOP = 6, LEFT = 124, GAP = 12, LETTER = 7.3, PADDING = 18, OPEN_MIN = 60;
const operations = data.operations.map((operation, number) => ({ ...operation, number }));
const hasReason = operations.some((operation) => operation.core);
// With many operations the reason alone is the better beginning.
let onlyReason = hasReason && operations.length > 400;
let chosen = 0;

function describe() {
  document.title = data.verdict;
  element("verdict").textContent = data.verdict;
  const hidden = data.hidden > 0 ? ` ${data.hidden} operations far from the reason are not shown.` : "";
  element("summary").textContent = data.summary + hidden;
  for (const operation of operations.filter((operation) => operation.core)) {
    const line = document.createElement("li");
    line.textContent = `process ${operation.process}, ${operation.line}: ${operation.label}`;
    element("reason").append(line);
  }
  for (const [label, only] of [["all operations", false], ["the reason", true]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-pressed", String(onlyReason === only));
    button.addEventListener("click", () => {
      onlyReason = only;
      for (const other of element("which").querySelectorAll("button")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      draw();
      goToReason();
    });
    element("which").append(button);
  }
  element("which").hidden = !hasReason;
  element("legend").firstElementChild.hidden = !hasReason;
  element("previous").addEventListener("click", () => choose(chosen - 1));
  element("next").addEventListener("click", () => choose(chosen + 1));
  element("order").hidden = data.sequences.length === 0;
}

function choose(number) {
  chosen = Math.min(Math.max(number, 0), Math.max(data.sequences.length - 1, 0));
  draw();
}

/* Where events lie: in their order, and every bar wide enough for its label. */
function layout(shown) {
  const events = [];
  for (const operation of shown) {
    events.push({ at: operation.start, operation, isEnd: false });
    if (operation.end !== null) events.push({ at: operation.end, operation, isEnd: true });
  }
  events.sort((a, b) => a.at - b.at);
  let x = LEFT;
  for (const { operation, isEnd } of events) {
    x += GAP;
    if (isEnd) {
      x = Math.max(x, operation.x + width(operation));
      operation.right = x;
    } else {
      operation.x = x;
    }
  }
  const end = x + 2 * GAP;
  let right = end;
  for (const operation of shown.filter((operation) => operation.end === null)) {
    operation.right = Math.max(end, operation.x + Math.max(width(operation), OPEN_MIN));
    right = Math.max(right, operation.right);
  }
  return right + GAP;
}

const width = (operation) => Math.min(operation.label.length, 34) * LETTER + PADDING;

/* One lane per process, in the order in which they begin: whoever took over from another is near it. */
function lanes(shown) {
  const processes = [...new Set(shown.map((operation) => operation.process))];
  return new Map(processes.map((process, lane) => [process, lane]));
}

function draw() {
  const sequence = data.sequences[chosen];
  const steps = new Map(sequence ? sequence.steps.map(([number, state], step) => [number, { step, state }]) : []);
  const shown = operations.filter((operation) => !onlyReason || operation.core);
  const lane = lanes(shown);
  const [right, height] = [layout(shown), lane.size * LANE];
  const sheet = document.createElement("div");
  sheet.id = "sheet";
  sheet.className = hasReason && !onlyReason ? "dimmed" : "";
  Object.assign(sheet.style, { width: `${right}px`, height: `${height}px` });
  for (const [process, row] of lane) {
    const strip = document.createElement("div");
    strip.className = "lane";
    Object.assign(strip.style, { top: `${row * LANE}px`, width: `${right}px` });
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = `process ${process}`;
    strip.append(name);
    sheet.append(strip);
  }
  for (const operation of shown) {
    operation.y = lane.get(operation.process) * LANE + BAR_TOP;
    sheet.append(bar(operation, steps));
  }
  if (sequence) sheet.append(path(sequence, shown, right, height));
  const timeline = element("timeline");
  const [left, top] = [timeline.scrollLeft, timeline.scrollTop];
  timeline.replaceChildren(sheet);
  timeline.scrollTo(left, top);
  tell(sequence);
}

/* Brings the last operation of the reason into view: that is where the contradiction shows. */
function goToReason() {
  const last = operations.filter((operation) => operation.core).at(-1);
  const timeline = element("timeline");
  if (last) timeline.scrollTo(last.right - timeline.clientWidth * 0.7, last.y - timeline.clientHeight / 2);
}

function bar(operation, steps) {
  const node = document.createElement("div");
  const isOpen = operation.end === null;
  const place = steps.has(operation.number) ? " placed" : isOpen ? "" : " left";
  node.className = `op${data.sequences.length ? place : ""}${isOpen ? " open" : ""}${operation.core ? " core" : ""}`;
  node.tabIndex = 0;
  // The label stays in sight while its bar is.
  node.append(Object.assign(document.createElement("span"), { textContent: operation.label }));
  node.setAttribute("aria-label", `process ${operation.process}: ${operation.label}`);
  Object.assign(node.style, {
    left: `${operation.x}px`, top: `${operation.y}px`, width: `${operation.right - operation.x}px`,
  });
  const show = () => tip(operation, steps.get(operation.number), node);
  for (const event of ["mouseenter", "focus"]) node.addEventListener(event, show);
  for (const event of ["mouseleave", "blur"]) node.addEventListener(event, () => (element("tip").hidden = true));
  node.addEventListener("click", () => {
    const longest = data.sequences.findIndex(({ steps }) => steps.some(([number]) => number === operation.number));
    if (longest >= 0) choose(longest);
  });
  return node;
}

/* The order as a line through the moments at which operations take effect. */
function path(sequence, shown, right, height) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.id = "path";
  svg.setAttribute("width", right);
  svg.setAttribute("height", height);
  const visible = new Set(shown);
  const taken = sequence.steps.map(([number]) => operations[number]).filter((operation) => visible.has(operation));
  // Each moment is as early as it can be and as far from its neighbours as the intervals let it.
  const latest = new Array(taken.length);
  let bound = right;
  for (let place = taken.length - 1; place >= 0; place -= 1) {
    bound = Math.min(bound, taken[place].right - 2);
    latest[place] = bound;
    bound -= 0.01;
  }
  let x = 0;
  const points = taken.map((operation, place) => {
    const step = Math.max(0.01, Math.min(8, (latest[place] - x) / 2));
    x = Math.max(operation.x + 4, x + step);
    x = Math.max(operation.x, Math.min(x, latest[place]));
    return [x, operation.y + 26];
  });
  const line = document.createElementNS(space, "polyline");
  line.setAttribute("points", points.map((point) => point.join(",")).join(" "));
  svg.append(line);
  for (const [x, y] of points) {
    const dot = document.createElementNS(space, "circle");
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    dot.setAttribute("r", 3.5);
    svg.append(dot);
  }
  return svg;
}

function tip(operation, step, node) {
  const box = element("tip");
  const lines = [`process ${operation.process}, ${operation.line}`];
  if (operation.took !== null) lines.push(`took ${(operation.took / 1e6).toFixed(3)} ms`);
  if (operation.end === null) lines.push("outcome unknown: it may take effect at any time from here, or never");
  if (step) lines.push(`number ${step.step + 1} of the order; afterwards: ${step.state}`);
  else if (operation.end !== null && data.sequences.length) lines.push("not in this order");
  const title = document.createElement("b");
  title.textContent = operation.label;
  box.replaceChildren(title, ...lines.map((line) => Object.assign(document.createElement("span"), { textContent: line })));
  box.hidden = false;
  const around = node.getBoundingClientRect();
  const left = Math.min(Math.max(around.left, 110), innerWidth - box.offsetWidth - 12);
  const below = around.bottom + 10;
  const top = below + box.offsetHeight > innerHeight ? around.top - box.offsetHeight - 10 : below;
  Object.assign(box.style, { left: `${left}px`, top: `${top}px` });
}

function tell(sequence) {
  const count = data.sequences.length;
  const left = sequence?.left === 1 ? "1 operation left over" : `${sequence?.left} operations left over`;
  const name = !sequence ? "" : sequence.left === 0 ? "a linearization" : `${chosen + 1} of ${count}, ${left}`;
  element("position").textContent = name;
  element("previous").disabled = chosen === 0;
  element("next").disabled = chosen >= count - 1;
}

addEventListener("keydown", (event) => {
  if (event.target.closest("button")) return;
  if (event.key === "[") choose(chosen - 1);
  if (event.key === "]") choose(chosen + 1);
});

describe();
draw();
goToReason();
