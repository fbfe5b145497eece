// What each target holds now, since when, by whom, and what it could be turned back to.
import { many } from "./format.js";
import { h, useRoute, useState } from "./host.js";
import { Held, keyTime, Undo } from "./dialogs.js";
import { Age, Badge, Facts, Maker, Problem, Size, Waiting } from "./parts.js";

const Target = ({ target, onOpen }) => {
  const { data, problem, isLoading, reload } = useRoute("target", { target: target.name });
  const [isUndoing, setUndoing] = useState(false);
  const isUndone = data?.key === ":pre"; // what is kept is what it holds
  return h("article", { className: "pgc-card", "aria-busy": isLoading },
    h("header", null, h("h3", null, target.name), h("code", null, target.database)),
    problem && h(Problem, { onRetry: reload }, problem),
    !data && isLoading && h(Waiting, null),
    data && h(Facts, { rows: [
      ["Holds", data.key && keyTime(data.key)
        ? h("button", { className: "pgc-link", onClick: () => onOpen(data.key) }, h(Held, { state: data }))
        : h(Held, { state: data })],
      ["Since", data.since ? h(Age, { at: data.since }) : "unknown"],
      ["By", h(Maker, { maker: data.made_by })],
      ["Size", h(Size, { value: data.size_bytes })],
    ] }),
    data?.waiting?.length > 0 && h(Badge, { kind: "warn", sign: "⧗", title: data.waiting.map((one) => one.name).join(", ") },
      `${many(data.waiting.length, "database waits", "databases wait")} for the swap`),
    data && h("footer", null,
      isUndone
        ? h("span", { className: "pgc-muted" }, "The last restore was undone")
        : data.pre
        ? h("span", { className: "pgc-muted" }, "Before: ", h(Held, { state: data.pre }), ", ", h(Size, { value: data.pre.size_bytes }))
        : h("span", { className: "pgc-muted" }, "Nothing is kept to turn back to"),
      data.pre && !isUndone && target.may_restore && h("button", { className: "pgc-button", onClick: () => setUndoing(true) }, "Undo…")),
    data && target.is_published && h("p", { className: "pgc-asof" }, "As of ", h(Age, { at: data.as_of })),
    isUndoing && h(Undo, { target, state: data, onClose: () => { setUndoing(false); reload(); } }));
};

export const Targets = ({ targets, onOpen }) =>
  targets.length > 0 && h("section", { "aria-labelledby": "pgc-targets" },
    h("h2", { id: "pgc-targets" }, "Targets"),
    h("div", { className: "pgc-cards" }, targets.map((target) => h(Target, { key: target.name, target, onOpen }))));
