// look.js - colours of the theme, canvases at the screen's resolution, and texts that fit: what all painting shares.

export const FONT = "11px system-ui, sans-serif", BOLD = "600 11px system-ui, sans-serif";
const NAMES = ["ground", "raised", "line", "ink", "soft", "accent", "running", "runnable", "syscall", "waiting", "none", "warn", "chosen", "gc", "heap"];
let held = null;

// Of the theme; asked of the style sheet once.
export function colours() {
  if (held) return held;
  const style = getComputedStyle(document.documentElement);
  held = {};
  for (const name of NAMES) held[name] = style.getPropertyValue("--" + name).trim();
  held.dark = document.documentElement.classList.contains("dark");
  held.groups = [];
  return held;
}

export function themeChanged() {
  held = null;
}

// A colour for a group of goroutines, so that the rows of Ps can be read: from its number, far from its neighbours'.
export function groupColour(group) {
  const look = colours(), known = look.groups[group % 512];
  if (known) return known;
  const hue = (group * 137.508) % 360;
  return look.groups[group % 512] = `hsl(${hue.toFixed(0)} ${look.dark ? "42% 42%" : "46% 54%"})`;
}

// White where it can be read on a colour, else black.
const inks = new Map(), probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

export function inkOn(fill) {
  let ink = inks.get(fill);
  if (ink) return ink;
  probe.fillStyle = fill;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...probe.getImageData(0, 0, 1, 1).data].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  ink = 1.05 / (light + 0.05) >= 4.2 ? "#ffffff" : "#0b0f14";
  inks.set(fill, ink);
  return ink;
}

export function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, box.width, box.height];
}

// Widths of texts in FONT, and what is left of them in less room: measured once.
const texts = new Map();

function known(c, text) {
  let entry = texts.get(text);
  if (!entry) {
    if (texts.size > 20000) texts.clear();
    c.font = FONT;
    entry = { width: c.measureText(text).width, cut: [] };
    texts.set(text, entry);
  }
  return entry;
}

export function widthOf(c, text) {
  return known(c, text).width;
}

export function clip(c, text, room) {
  if (room < 14 || !text) return "";
  const entry = known(c, text);
  if (entry.width <= room) return text;
  const n = Math.floor(text.length * (room - 8) / entry.width);
  return n < 1 ? "" : entry.cut[n] ??= text.slice(0, n) + "…";
}

// 1, 2 or 5 times a power of ten, so that marks stand at least `pixels` apart.
export function step(nsPerPixel, pixels) {
  const least = Math.max(1, nsPerPixel * pixels), ten = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map(n => n * ten).find(n => n >= least * 0.999);
}
