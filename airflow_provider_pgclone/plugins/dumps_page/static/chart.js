// The sizes of dumps as bars, and how long they took as a line.
import { bytes, day, duration, short } from "./format.js";
import { h, useState, useWidth } from "./host.js";

const HEIGHT = 170;
const LEFT = 58;
const RIGHT = 52;
const TOP = 12;
const BOTTOM = 24;

const ceiling = (value) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((one) => one >= value) ?? value;
};
const ceilingOfBytes = (value) => {
  const unit = 1024 ** Math.floor(Math.log2(value) / 10);
  return ceiling(value / unit) * unit;
};
// The kinds of dumps whose bars have another colour.
const KINDS = { bad: "damaged", warn: "partial" };
const kindOf = (point) => (point.finding === "damaged" ? "bad" : point.is_partial ? "warn" : "bar");
const wordsOf = (point) => [short(point.created_at), bytes(point.size_bytes),
  typeof point.seconds === "number" ? `took ${duration(point.seconds)}` : "duration unknown",
  point.finding === "damaged" && "damaged", point.is_partial && "partial"].filter(Boolean).join(" · ");

const summaryOf = (points) => {
  const sizes = points.map((one) => one.size_bytes);
  const last = points[points.length - 1];
  return `${points.length} dumps from ${day(points[0].created_at)} to ${day(last.created_at)}: `
    + `the smallest has ${bytes(Math.min(...sizes))}, the largest ${bytes(Math.max(...sizes))}. `
    + `The newest has ${bytes(last.size_bytes)} and took ${duration(last.seconds)}. `
    + "The arrow keys go from dump to dump, and Enter opens one.";
};

export const Chart = ({ points, onOpen }) => {
  const [place, width] = useWidth();
  const [at, setAt] = useState(null);
  const shown = at === null ? null : points[Math.min(at, points.length - 1)];
  const onKeyDown = (event) => {
    const last = points.length - 1;
    const moves = { ArrowLeft: Math.max(0, (at ?? last + 1) - 1), ArrowRight: Math.min(last, (at ?? last - 1) + 1),
      Home: 0, End: last };
    if (event.key in moves) { setAt(moves[event.key]); event.preventDefault(); }
    if (event.key === "Enter" && shown) onOpen(shown.key);
  };
  return h("figure", { className: "pgc-chart", ref: place },
    width > 0 && h("div", { tabIndex: 0, role: "group", "aria-label": summaryOf(points), onKeyDown,
      onBlur: () => setAt(null), onMouseLeave: () => setAt(null) },
    h(Drawing, { points, width, at, setAt, onOpen })),
    h("figcaption", null,
      h("span", { className: "pgc-key" }, h("i", { className: "pgc-key-bar" }), "size"),
      Object.entries(KINDS).filter(([kind]) => points.some((one) => kindOf(one) === kind)).map(([kind, word]) =>
        h("span", { key: kind, className: "pgc-key" }, h("i", { className: `pgc-key-bar pgc-key-${kind}` }), word)),
      h("span", { className: "pgc-key" }, h("i", { className: "pgc-key-line" }), "duration"),
      h("output", { "aria-live": "polite", className: "pgc-number" }, shown ? wordsOf(shown) : "")));
};

const Drawing = ({ points, width, at, setAt, onOpen }) => {
  const largest = ceilingOfBytes(Math.max(...points.map((one) => one.size_bytes), 1));
  const slowest = ceiling(Math.max(...points.map((one) => one.seconds ?? 0), 0.1));
  const inner = width - LEFT - RIGHT;
  const step = inner / points.length;
  const wide = Math.max(1, Math.min(step * 0.7, 26));
  const depth = HEIGHT - TOP - BOTTOM;
  const x = (n) => LEFT + n * step;
  const yOf = (share) => TOP + depth * (1 - share);
  const timed = points.map((one, n) => [one.seconds, n]).filter(([one]) => typeof one === "number");
  const line = timed.map(([one, n]) => `${x(n) + step / 2},${yOf(one / slowest)}`).join(" ");
  const labels = Math.max(1, Math.floor(inner / 70));
  const every = Math.ceil(points.length / labels);
  return h("svg", { width, height: HEIGHT, "aria-hidden": true },
    [0, 0.5, 1].map((share) => h("g", { key: share, className: "pgc-axis" },
      h("line", { x1: LEFT, x2: width - RIGHT, y1: yOf(share), y2: yOf(share) }),
      h("text", { x: LEFT - 8, y: yOf(share) + 4, textAnchor: "end" }, bytes(largest * share)),
      timed.length > 0 && h("text", { x: width - RIGHT + 8, y: yOf(share) + 4 }, duration(slowest * share)))),
    points.map((one, n) => {
      const height = Math.max(2, (depth * one.size_bytes) / largest);
      return h("g", { key: one.key, className: "pgc-column", onMouseEnter: () => setAt(n), onClick: () => onOpen(one.key) },
        h("rect", { x: x(n), y: TOP, width: step, height: depth, className: at === n ? "pgc-at" : "pgc-behind" }),
        h("rect", { x: x(n) + (step - wide) / 2, width: wide, y: TOP + depth - height, height,
          rx: Math.min(3, step * 0.2), className: `pgc-fill-${kindOf(one)}` }),
        n % every === 0 && h("text", { x: x(n) + step / 2, y: HEIGHT - 7, textAnchor: "middle", className: "pgc-tick" },
          day(one.created_at)));
    }),
    timed.length > 1 && h("polyline", { points: line, className: "pgc-line" }),
    timed.map(([one, n]) => h("circle", { key: n, cx: x(n) + step / 2, cy: yOf(one / slowest), r: at === n ? 4 : 2,
      className: "pgc-dot" })));
};
