// map.js - the whole trace in a strip: goroutines by state, the heap's line, and what of it is shown and selected.
import { bytes, number } from "./text.js";
import { colours, fit, FONT } from "./look.js";

let kept = null, keptOf = null; // the strip's picture, and of what: it changes less often than what is shown

export function timeAt(model, x, width) {
  return model.info.begin_ns + x / width * (model.end - model.info.begin_ns);
}

export function map(canvas, model, view, at) {
  const [c, width, height] = fit(canvas), look = colours(), begin = model.info.begin_ns, span = model.end - begin;
  if (!kept || keptOf.points !== model.whole || keptOf.look !== look || keptOf.width !== canvas.width || keptOf.height !== canvas.height) {
    kept ||= document.createElement("canvas");
    kept.width = canvas.width;
    kept.height = canvas.height;
    keptOf = { points: model.whole, look, width: canvas.width, height: canvas.height };
    const k = kept.getContext("2d");
    k.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    strip(k, model, look, width, height);
  }
  c.save();
  c.setTransform(1, 0, 0, 1, 0, 0);
  c.drawImage(kept, 0, 0);
  c.restore();
  const x = t => (t - begin) / span * width, x0 = x(view.t0), x1 = x(view.t1);
  c.fillStyle = look.dark ? "rgba(0,0,0,.5)" : "rgba(120,130,145,.28)";
  c.fillRect(0, 0, Math.max(0, x0), height);
  c.fillRect(x1, 0, width - x1, height);
  c.strokeStyle = look.accent;
  c.strokeRect(Math.max(0.5, x0), 0.5, Math.max(2, Math.min(width, x1) - Math.max(0, x0)) - 1, height - 1);
  c.fillStyle = look.accent;
  if (at.range) c.fillRect(x(at.range.t0), height - 4, Math.max(2, x(at.range.t1) - x(at.range.t0)), 4);
  if (at.slice) c.fillRect(x((at.slice.since + at.slice.end) / 2) - 1, height - 12, 2, 12);
}

function strip(c, model, look, width, height) {
  const begin = model.info.begin_ns, span = model.end - begin, points = model.whole;
  c.fillStyle = look.ground;
  c.fillRect(0, 0, width, height);
  let most = 1, heap = 0;
  for (const p of points) {
    most = Math.max(most, p[1] + p[2] + p[3]);
    heap = Math.max(heap, p[5]);
  }
  const unit = (height - 18) / most, x = i => ((i < points.length ? points[i][0] : model.info.read_ns) - begin) / span * width;
  points.forEach((p, i) => {
    let y = height;
    for (const [value, fill] of [[p[2], look.running], [p[1], look.runnable], [p[3], look.syscall]]) {
      c.fillStyle = fill;
      c.fillRect(x(i), y - value * unit, Math.max(0.6, x(i + 1) - x(i)), value * unit);
      y -= value * unit;
    }
  });
  if (heap) {
    c.strokeStyle = look.accent;
    c.beginPath();
    points.forEach((p, i) => c[i ? "lineTo" : "moveTo"](x(i), height - 2 - p[5] / heap * (height - 20)));
    c.stroke();
  }
  legend(c, look, most, heap, width);
}

function legend(c, look, most, heap, width) {
  const texts = [["busy goroutines, at most " + number(most) + ":"], ["running", look.running], ["runnable", look.runnable], ["in system calls", look.syscall]];
  if (heap) texts.push(["heap, at most " + bytes(heap), look.accent]);
  c.font = FONT;
  c.textBaseline = "middle";
  let x = 8;
  for (const [text, fill] of texts) {
    const wide = c.measureText(text).width;
    if (x + wide + 14 > width) return;
    if (fill) {
      c.fillStyle = fill;
      c.fillRect(x, 4, 8, 8);
      x += 12;
    }
    c.fillStyle = look.soft;
    c.fillText(text, x, 8.5);
    x += wide + 12;
  }
}
