// keys.js - the keyboard, and the list of what it does.
import { ROW } from "./model.js";
import { button, make } from "./text.js";
import { $, page, zoom, pan, scroll, all, tall, leave, step, toWaker, back, widen, chainRows, unpin, setRange, moved } from "./page.js";
import { clearFilters } from "./filters.js";
import { fold } from "./tabs.js";

const KEYS = [
  ["Moving", [["w  s", "zoom in and out, at the pointer"], ["a  d  ← →", "earlier, later; with Shift further"], ["↑ ↓ PgUp PgDn Home End", "scroll"], ["0", "the whole trace"],
    ["f", "the chosen slice, or the selected stretch, over the whole width"]]],
  ["Following", [[",  .", "slice before, slice after, on the same row"], ["u", "to what woke it; from a P's or M's slice to the goroutine"], ["c", "the chain of who woke whom, as rows with arrows; again: away"], ["b", "back to the slice chosen before"]]],
  ["Choosing", [["/", "search: a function, or G17"], ["x", "no filter"], ["m", "select the chosen slice's time, for the tables; again: nothing"], ["[  ]", "close, open all groups of rows"], ["Esc", "let go of the slice, then of the stretch"]]],
  ["Page", [["t", "light or dark"], ["h", "tables away, or back"], ["?", "this"]]],
  ["Pointer", [["click", "a slice: its reason, stack, waker; a name: that goroutine and its regions; a head: opens or closes"], ["double click", "a slice over the whole width"],
    ["drag", "move; on the times, or with Shift: select a stretch; on the map: what is shown"], ["wheel", "scroll; with Ctrl, or two fingers apart, zoom; with Shift move"]]],
];

function escape() {
  if (page.at.slice || page.at.row !== undefined) leave();
  else if (page.at.range) setRange(null);
}

function chain() {
  if (page.model.pinned.length) unpin();
  else if (page.at.chain.length) chainRows();
}

function mark() {
  const { slice, range } = page.at;
  if (range) setRange(null);
  else if (slice) setRange({ t0: slice.since, t1: Math.max(slice.end, slice.since + 1) });
}

function foldAll(open) {
  page.model.foldAll(open);
  moved();
}

const ACTS = {
  w: () => zoom(1 / 1.5, page.at.mouse), s: () => zoom(1.5, page.at.mouse),
  a: (far) => pan(-far), d: (far) => pan(far), ArrowLeft: (far) => pan(-far), ArrowRight: (far) => pan(far),
  ArrowUp: () => scroll(-ROW * 2), ArrowDown: () => scroll(ROW * 2), PageUp: () => scroll(-tall()), PageDown: () => scroll(tall()),
  Home: () => scroll(-1e12), End: () => scroll(1e12),
  ",": () => step(-1), ".": () => step(1), u: toWaker, b: back, c: chain, m: mark, f: widen, 0: all, x: clearFilters,
  "[": () => foldAll(false), "]": () => foldAll(true), "/": () => $("search").focus(), h: fold, "?": () => help(),
};

export function keyboard(theme) {
  ACTS.t = theme;
  addEventListener("keydown", e => {
    const typing = e.target instanceof HTMLInputElement && e.target.type !== "checkbox" || e.target instanceof HTMLSelectElement;
    if (e.key === "Escape" && typing) {
      // A search field would lose its text.
      e.preventDefault();
      return e.target.blur();
    }
    if (e.key === "Escape" && !$("keys").open) return escape();
    if (typing || e.ctrlKey || e.metaKey || e.altKey || $("keys").open) return;
    // Where a table has the focus, it is that which scrolls.
    if (/^(Arrow|Page|Home|End)/.test(e.key) && e.target.closest?.("#tab, #side, nav")) return;
    const act = ACTS[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act) return;
    e.preventDefault();
    if (e.key === "/") $("bar").classList.add("open");
    act(e.shiftKey ? 0.6 : 0.15);
  });
}

export function help() {
  const box = $("keys");
  box.replaceChildren(button("Close", () => box.close(), "close", "Esc"));
  for (const [head, keys] of KEYS) {
    const list = make("dl");
    for (const [names, what] of keys) {
      const name = make("dt");
      for (const key of head === "Pointer" ? [names] : names.split(/ +/)) name.append(make("kbd", key), " ");
      list.append(name, make("dd", what));
    }
    box.append(make("h2", head), list);
  }
  box.addEventListener("click", () => box.close(), { once: true });
  box.showModal();
  box.scrollTop = 0;
}
