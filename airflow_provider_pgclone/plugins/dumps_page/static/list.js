// The databases of a store, the chart of one, and the list of dumps.
import { Chart } from "./chart.js";
import { count, duration, many, nameOf } from "./format.js";
import { h, useEffect, useRef, useRoute, useState } from "./host.js";
import { Age, Badges, Maker, Problem, Size, Waiting } from "./parts.js";

export const Databases = ({ answer, chosen, onChoose }) => {
  const { data, problem, isLoading, reload } = answer;
  if (problem) return h(Problem, { onRetry: reload }, problem);
  if (!data) return isLoading && h(Waiting, null);
  if (!data.databases.length)
    return h("p", { className: "pgc-empty" }, "This store has no dumps yet. They appear here when the first one is complete.");
  return h("div", { className: "pgc-databases", role: "group", "aria-label": "Databases" },
    data.databases.map((one) => h("button", { key: one.name, className: "pgc-database",
      "aria-pressed": one.name === chosen, onClick: () => onChoose(one.name === chosen ? "" : one.name) },
    h("span", { className: "pgc-database-name" }, one.name),
    h("span", { className: "pgc-big" }, h(Age, { at: one.newest.created_at })),
    h("span", { className: "pgc-muted" }, many(one.dumps, "dump"), ", ", h(Size, { value: one.size_bytes })),
    h(Badges, { dump: one.newest, isShort: true }))),
    data.others > 0 && h("p", { className: "pgc-muted" }, `${many(data.others, "other database")}: filter the list by the name.`));
};

export const History = ({ store, database, onOpen, turn }) => {
  const { data, problem, isLoading } = useRoute("series", { store, database, turn }, Boolean(database));
  if (problem) return h(Problem, null, problem);
  if (!data) return isLoading && h(Waiting, null);
  return data.points.length > 0 && h("div", null, h("h3", null, `Size and duration of ${database}`),
    h(Chart, { points: data.points, onOpen }));
};

const CHOICES = {
  state: [["", "Any verification"], ["verified", "Verified"], ["unverified", "Not verified"], ["damaged", "Damaged"]],
  masked: [["", "Masked or not"], ["yes", "Masked"], ["no", "Not masked"]],
  partial: [["", "Whole or partial"], ["no", "Whole"], ["yes", "Partial"]],
};
const NAMES = { state: "Verification", masked: "Masking", partial: "Completeness" };

export const Filters = ({ filters, onChange }) => {
  const place = useRef(null);
  const [text, setText] = useState(filters.text);
  useEffect(() => setText(filters.text), [filters.text]);
  useEffect(() => {
    const timer = setTimeout(() => text !== filters.text && onChange({ text }), 250);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    const focus = (event) => {
      const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
      if (document.querySelector("dialog[open]")) return;
      event.preventDefault();
      place.current?.focus();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  return h("div", { className: "pgc-filters", role: "search" },
    h("span", { className: "pgc-search" },
      h("input", { ref: place, type: "search", value: text, placeholder: "Filter by a part of the key", "aria-label": "Filter by a part of the key",
        "aria-keyshortcuts": "/", onChange: (event) => setText(event.target.value) }),
      h("kbd", { "aria-hidden": true }, "/")),
    Object.entries(CHOICES).map(([name, choices]) => h("select", { key: name, value: filters[name], "aria-label": NAMES[name],
      onChange: (event) => onChange({ [name]: event.target.value }) },
    choices.map(([value, label]) => h("option", { key: value, value }, label)))));
};

const Row = ({ dump, addressOf, onOpen }) =>
  h("tr", { onClick: (event) => !event.target.closest("a, button") && onOpen(dump.key) },
    h("td", null, h("a", { className: "pgc-link", href: addressOf(dump.key),
      onClick: (event) => { if (event.metaKey || event.ctrlKey) return; event.preventDefault(); onOpen(dump.key); },
      "aria-label": `Dump ${dump.key}` }, h(Age, { at: dump.created_at }))),
    h("td", null, nameOf(dump.key)),
    h("td", { className: "pgc-number" }, h(Size, { value: dump.size_bytes })),
    h("td", { className: "pgc-number" }, typeof dump.rows === "number" ? count(dump.rows) : "–"),
    h("td", { className: "pgc-number pgc-wide" }, typeof dump.seconds === "number" ? duration(dump.seconds) : "–"),
    h("td", null, h(Badges, { dump, isShort: true })),
    h("td", { className: "pgc-wide" }, h(Maker, { maker: dump.made_by, nobody: "–" })));

export const List = ({ store, filters, turn, addressOf, onOpen, onChange }) => {
  const [trail, setTrail] = useState([]);
  const wanted = JSON.stringify([store, filters]);
  useEffect(() => setTrail([]), [wanted]);
  const query = { store, ...filters, after: trail[trail.length - 1], turn };
  const { data, problem, isLoading, reload } = useRoute("dumps", query);
  const first = trail.length * 25 + 1;
  return h("section", { "aria-labelledby": "pgc-dumps" },
    h("h2", { id: "pgc-dumps" }, "Dumps"),
    h(Filters, { filters, onChange }),
    problem && h(Problem, { onRetry: reload }, problem),
    !data && isLoading && h(Waiting, { lines: 6 }),
    data && !data.rows.length && h("p", { className: "pgc-empty" },
      data.after ? `None of the ${count(data.looked_at)} dumps looked at fits. Older ones may.` : "No dump fits the filter."),
    data && data.rows.length > 0 && h("div", { className: `pgc-scroll ${isLoading ? "pgc-stale" : ""}` },
      h("table", { className: "pgc-table", "aria-busy": isLoading },
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Made"), h("th", { scope: "col" }, "Database"),
          h("th", { scope: "col", className: "pgc-number" }, "Size"), h("th", { scope: "col", className: "pgc-number" }, "Rows"),
          h("th", { scope: "col", className: "pgc-number pgc-wide" }, "Took"), h("th", { scope: "col" }, "State"),
          h("th", { scope: "col", className: "pgc-wide" }, "Made by"))),
        h("tbody", null, data.rows.map((dump) => h(Row, { key: dump.key, dump, addressOf, onOpen }))))),
    data && (trail.length > 0 || data.after) && h("nav", { className: "pgc-pager", "aria-label": "Pages of dumps" },
      h("button", { className: "pgc-button", disabled: !trail.length, onClick: () => setTrail(trail.slice(0, -1)) }, "Newer"),
      h("span", { className: "pgc-muted pgc-number" }, data.total === null
        ? `${count(data.looked_at)} dumps looked at for this page`
        : `${count(first)} to ${count(first + data.rows.length - 1)} of ${count(data.total)}`),
      h("button", { className: "pgc-button", disabled: !data.after, onClick: () => setTrail([...trail, data.after]) }, "Older")));
};
