// flame.js - where time went: stacks of a state, outermost above, as wide as their time.
import { ask } from "./ask.js";
import { STATES, duration, number, make, button, option } from "./text.js";
import { $, page, scoped } from "./page.js";
import { again } from "./tabs.js";
import { colours, fit, clip, groupColour, inkOn, FONT } from "./look.js";

const TALL = 18;
const wanted = { state: "4", reason: "" };

export async function flame(box, current) {
  const state = make("select"), reason = make("select"), { info } = page.model;
  const states = [["4", "waiting"], ["3", "in syscalls"], ["1", "runnable, without a P"], ...(info.samples ? [["2", "running (samples)"]] : [])];
  state.append(...states.map(([value, text]) => option(value, text, value === wanted.state)));
  reason.append(option("", "for any reason", !wanted.reason), ...info.reasons.map((r, i) => [r, i]).filter(([r]) => r).sort().map(([r, i]) => option(i, r, wanted.reason === String(i))));
  state.setAttribute("aria-label", "state");
  reason.setAttribute("aria-label", "reason");
  for (const [select, name] of [[state, "state"], [reason, "reason"]]) select.addEventListener("change", () => { wanted[name] = select.value; again(); });
  $("tools")?.append(state, " ", wanted.state === "4" ? reason : "");
  const params = { ...scoped(), state: wanted.state };
  if (wanted.reason && wanted.state === "4") params.reason = wanted.reason;
  const answer = await ask("flames", params);
  if (!current()) return;
  const root = tree(answer.stacks, info);
  if (!root.ns) return void box.append(make("p", "No goroutine was in this state.", "quiet"));
  icicle(box, root, wanted.state === "2" ? n => number(n) + " samples" : duration);
}

function tree(stacks, info) {
  const root = { name: "all", ns: 0, count: 0, children: new Map(), depth: 0 };
  for (const s of stacks) {
    const frames = s.stack.map(f => f.function || "?").reverse();
    if (!frames.length) frames.push("no stack was taken");
    if (wanted.state !== "2") frames.push(info.reasons[s.reason] || STATES[wanted.state]);
    root.ns += s.ns;
    root.count += s.count;
    let node = root;
    for (const name of frames) {
      if (!node.children.has(name)) node.children.set(name, { name, ns: 0, count: 0, children: new Map(), parent: node, depth: node.depth + 1 });
      node = node.children.get(name);
      node.ns += s.ns;
      node.count += s.count;
    }
  }
  return root;
}

const hash = text => [...text].reduce((h, ch) => (h * 31 + ch.codePointAt(0)) % 499, 7);
const deepest = node => Math.max(node.depth, ...[...node.children.values()].map(deepest));

function icicle(box, root, told) {
  const canvas = make("canvas", null, "wide"), note = make("p", null, "quiet"), up = button("Show all", () => focus(root));
  let top = root, boxes = [];
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "flame graph: click a frame to make it as wide as all, Escape for all");
  const describe = node => node ? `${node.name}: ${told(node.ns)}, ${(node.ns / root.ns * 100).toFixed(1)} % of all, ${number(node.count)} ×` : "Point at a frame; click makes it as wide as all.";
  const focus = node => {
    top = node;
    up.hidden = node === root;
    note.textContent = describe(node === root ? null : node);
    paint();
  };
  const paint = () => {
    canvas.style.height = (deepest(top) - top.depth + 1) * TALL + ancestors(top).length * TALL + "px";
    boxes = drawTree(canvas, top);
  };
  const hit = e => boxes.find(b => e.offsetX >= b.x && e.offsetX < b.x + b.wide && e.offsetY >= b.y && e.offsetY < b.y + TALL)?.node;
  canvas.addEventListener("pointermove", e => { note.textContent = describe(hit(e)); });
  canvas.addEventListener("click", e => {
    const node = hit(e);
    if (node) focus(node === top ? root : node);
  });
  canvas.addEventListener("keydown", e => {
    if (e.key !== "Escape" || top === root) return;
    e.stopPropagation();
    focus(root);
  });
  const bar = make("div", null, "row");
  bar.append(note, up);
  up.hidden = true;
  note.textContent = describe(null);
  box.append(bar, canvas);
  box.addEventListener("shown", () => {
    paint();
    new ResizeObserver(paint).observe(box);
  }, { once: true });
}

function ancestors(node) {
  const list = [];
  for (let n = node.parent; n; n = n.parent) list.unshift(n);
  return list;
}

// The way from the root at full width, then what is below.
function drawTree(canvas, top) {
  const [c, width, height] = fit(canvas), look = colours(), boxes = [], above = ancestors(top);
  c.clearRect(0, 0, width, height);
  c.font = FONT;
  c.textBaseline = "middle";
  const put = (node, x, wide, y) => {
    const fill = node.parent ? groupColour(hash(node.name)) : look.none;
    c.fillStyle = fill;
    c.globalAlpha = above.includes(node) ? 0.5 : 1;
    c.fillRect(x, y, Math.max(0.5, wide - 1), TALL - 1);
    c.globalAlpha = 1;
    boxes.push({ x, y, wide, node });
    c.fillStyle = inkOn(fill);
    const text = clip(c, node.name, wide - 8);
    if (text) c.fillText(text, x + 4, y + TALL / 2);
  };
  const below = (node, x, wide, y) => {
    if (wide < 0.5) return;
    put(node, x, wide, y);
    let at = x;
    for (const child of [...node.children.values()].sort((a, b) => b.ns - a.ns)) {
      below(child, at, wide * child.ns / node.ns, y + TALL);
      at += wide * child.ns / node.ns;
    }
  };
  above.forEach((node, i) => put(node, 0, width, i * TALL));
  below(top, 0, width, above.length * TALL);
  return boxes;
}
