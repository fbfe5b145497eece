// Restore, undo, verify: each starts a run of a DAG that the configuration names, and links to it.
import { bytes, databaseOf, exact, short } from "./format.js";
import { addressOf, h, isPaused, trigger, useRoute, useState } from "./host.js";
import { Age, Badges, Dialog, Facts, Maker, Problem, Size, Waiting } from "./parts.js";

const Started = ({ dag, run, isWaiting }) =>
  h("div", { className: "pgc-started", role: "status" },
    isWaiting
      ? h("p", { className: "pgc-note" }, "The run waits: the DAG ", h("code", null, dag), " is paused. Unpause it in Airflow, and the run starts.")
      : h("p", null, "The run has started. Airflow shows how far it is, and asks there if it needs an answer."),
    h("p", null, h("a", {
      className: "pgc-button pgc-primary", autoFocus: true,
      href: addressOf(`dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run.dag_run_id)}`).href,
    }, "Go to the run")));

// A button that starts a run, and what came of it.
const Start = ({ dag, conf, label, isDangerous, isOff, onClose }) => {
  const [state, setState] = useState({});
  const start = () => {
    setState({ isBusy: true });
    const begin = async () => {
      const isWaiting = await isPaused(dag);
      setState({ run: await trigger(dag, conf), isWaiting });
    };
    begin().catch((error) => setState({ problem: error.message }));
  };
  if (state.run) return h(Started, { dag, ...state });
  return h("footer", null,
    state.problem && h(Problem, null, state.problem),
    h("span", { className: "pgc-muted" }, "Starts the DAG ", h("code", null, dag), "."),
    h("span", { className: "pgc-actions" },
      h("button", { className: "pgc-button", onClick: onClose }, "Cancel"),
      h("button", { className: `pgc-button ${isDangerous ? "pgc-danger" : "pgc-primary"}`, onClick: start,
        disabled: isOff || state.isBusy }, state.isBusy ? "Starting…" : label)));
};

export const held = (state) => {
  if (!state) return "unknown";
  if (!state.key) return "not restored by this package";
  return state.key.startsWith(":") ? `what was kept as ${state.key}` : `${databaseOf(state.key)} of ${short(state.key && keyTime(state.key))}`;
};
// The time in a key, as ISO 8601.
export const keyTime = (key) => {
  const found = /(\d{4}-\d\d-\d\d)-(\d\d)-(\d\d)-(\d\d)-\d+\.dump$/.exec(key);
  return found ? `${found[1]}T${found[2]}:${found[3]}:${found[4]}Z` : "";
};

export const Held = ({ state }) => {
  const time = keyTime(state.key ?? "");
  return h("span", { title: state.key || undefined }, held(state), time && [" (", h(Age, { key: "age", at: time }), ")"]);
};

const Now = ({ answer: { data, problem, isLoading } }) => {
  if (problem) return h(Problem, null, problem);
  if (!data) return isLoading ? h(Waiting, { lines: 2 }) : null;
  return h(Facts, { rows: [
    ["Holds now", h(Held, { state: data })],
    ["Since", data.since ? h(Age, { at: data.since }) : "unknown"],
    ["By", h(Maker, { maker: data.made_by })],
    ["Size", h(Size, { value: data.size_bytes })],
    data.pre && ["Kept as :pre", h("span", null, h(Held, { state: data.pre }), ", ", bytes(data.pre.size_bytes))],
  ] });
};

// Why a target does not take a dump, by what its configuration requires.
const lacks = (dump, isSigned, requires = []) => {
  const has = { masked: dump.is_masked === true, verified: Boolean(dump.finding), signed: isSigned !== false };
  return requires.filter((kind) => has[kind] === false);
};

export const Restore = ({ dump, isSigned, targets, onClose }) => {
  const able = targets.filter((one) => one.may_restore);
  const [name, setName] = useState(able[0]?.name);
  const [isReversible, setReversible] = useState(true);
  const target = able.find((one) => one.name === name);
  const now = useRoute("target", { target: name }, Boolean(name));
  const lacking = now.isLoading ? [] : lacks(dump, isSigned, now.data?.requires);
  const warnings = [
    dump.problem && `Its manifest cannot be read: ${dump.problem}.`,
    dump.is_masked === false && !lacking.length && "This dump is not masked: the target will hold the values of its source.",
    dump.left_out?.length > 0 && `This dump is partial. It left out: ${dump.left_out.join("; ")}.`,
  ].filter(Boolean);
  return h(Dialog, { title: "Restore a dump", onClose },
    h("section", null,
      h("h3", null, `${dump.database}, ${short(dump.created_at)}`), h(Badges, { dump }),
      h("p", { className: "pgc-keyline" }, h("code", null, dump.key))),
    warnings.map((text) => h("p", { key: text, className: "pgc-note" }, text)),
    h("section", null,
      h("h3", { id: "pgc-over" }, "Over"),
      able.length > 1 && h("div", { className: "pgc-choices", role: "radiogroup", "aria-labelledby": "pgc-over" },
        able.map((one) => h("label", { key: one.name },
          h("input", { type: "radio", name: "pgc-target", checked: one.name === name, onChange: () => setName(one.name) }),
          one.name, h("code", null, one.database)))),
      able.length === 1 && h("p", null, target.name, " ", h("code", null, target.database)),
      target && h(Now, { answer: now }),
      lacking.length > 0 && h(Problem, null, `The target takes only ${lacking.join(" and ")} dumps.`),
      h("label", { className: "pgc-check" },
        h("input", { type: "checkbox", checked: isReversible, onChange: (event) => setReversible(event.target.checked) }),
        h("span", null, "Keep what it holds now as ", h("code", null, ":pre"), ", so that Undo can bring it back. An older ",
          h("code", null, ":pre"), " is dropped."))),
    target && h(Start, { dag: target.dag, label: `Restore over ${target.database}`, isDangerous: true, onClose,
      isOff: lacking.length > 0 || now.isLoading,
      conf: { dump_key: dump.key, database: target.database, reversible: isReversible } }));
};

export const Undo = ({ target, state, onClose }) =>
  h(Dialog, { title: `Undo the last restore of ${target.database}`, onClose },
    h("section", null,
      h(Facts, { rows: [
        ["It holds now", h(Held, { state })],
        ["It will hold", h(Held, { state: state.pre })],
        ["Replaced", state.since ? exact(state.since) : "unknown"],
        ["Size", h(Size, { value: state.pre.size_bytes })],
      ] }),
      h("p", null, "What it holds now is given up: ", h("code", null, ":pre"), " takes its place. As it was right after the restore it is kept as ",
        h("code", null, ":post"), "; what was written since is lost.")),
    h(Start, { dag: target.dag, label: `Turn ${target.database} back`, isDangerous: true, onClose,
      conf: { dump_key: ":pre", database: target.database, reversible: false } }));

export const Verify = ({ dump, dag, onClose }) =>
  h(Dialog, { title: "Verify a dump", onClose },
    h("section", null,
      h("h3", null, `${dump.database}, ${short(dump.created_at)}`),
      h("p", { className: "pgc-keyline" }, h("code", null, dump.key)),
      h("p", null, "A verification reads the whole dump and notes beside it whether it is intact. Nothing is changed.")),
    h(Start, { dag, label: "Verify", onClose, conf: { dump_key: dump.key } }));
