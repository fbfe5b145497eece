// The page Dumps. Airflow imports this module, and draws the component that it puts under the page's name.
import { DumpPage } from "./dump.js";
import { addressOf, h, read, useClock, useEffect, useRoute, useSearchParams, useState } from "./host.js";
import { Databases, History, List } from "./list.js";
import { Age, Problem, Waiting } from "./parts.js";
import { Targets } from "./targets.js";

const FILTERS = ["text", "database", "state", "masked", "partial"];
const EXAMPLE = `{"stores": {"Shop": {"postgres_conn_id": "prod", "dag": "nightly_masked_dump"}},
 "targets": {"Staging": {"postgres_conn_id": "staging", "database": "shop_staging", "dag": "manual_restore"}}}`;

const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("dumps.css", import.meta.url).href;
document.head.append(style);

const Empty = ({ page }) =>
  h("div", { className: "pgc-empty" },
    page.is_configured
      ? h("p", null, "There is no store or target that you may see. Whoever may read the DAG of one sees it here.")
      : [h("p", { key: "what" }, "No store is configured. The key ", h("code", null, "dumps_page"), " of the section ",
        h("code", null, "[pgclone]"), " of Airflow's configuration says what this page shows, such as:"),
      h("pre", { key: "how" }, EXAMPLE)]);

// A link may name a dump alone: then the first store that has it is meant.
const Finding = ({ stores, dumpKey, onFound, onBack }) => {
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    const stop = new AbortController();
    const find = async () => {
      for (const store of stores)
        try {
          await read("dump", { store: store.name, key: dumpKey }, stop.signal);
          return onFound(store.name);
        } catch (error) {
          if (error.name === "AbortError") return undefined;
        }
      return setProblem(`No store that you may see has the dump ${dumpKey}. It may have been pruned.`);
    };
    find();
    return () => stop.abort();
  }, [dumpKey]);
  return problem ? h(NotFound, { onBack }, problem) : h(Waiting, null);
};

const NotFound = ({ onBack, children }) =>
  h("div", null, h("button", { className: "pgc-link pgc-back", onClick: onBack }, "← All dumps"), h(Problem, null, children));

const Overview = ({ page, store, params, go }) => {
  const [turn, setTurn] = useState(undefined);
  const databases = useRoute("databases", { store: store.name });
  const filters = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ""]));
  const drawn = filters.database || databases.data?.databases[0]?.name;
  const open = (dump) => go({ dump });
  const change = (values) => go(values, true);
  const refresh = () => { databases.reload(); setTurn(Date.now()); };
  return h("div", null,
    h("header", { className: "pgc-head" },
      h("div", null, h("h1", null, "Dumps"),
        page.stores.length > 1 && h("nav", { className: "pgc-stores", "aria-label": "Stores" },
          page.stores.map((one) => h("button", { key: one.name, "aria-current": one.name === store.name ? "page" : undefined,
            onClick: () => go({ store: one.name, database: "", text: "" }) }, one.name)))),
      h("div", { className: "pgc-actions" },
        databases.data && h("span", { className: "pgc-asof" }, store.is_published ? "Published " : "As of ", h(Age, { at: databases.data.as_of }),
          databases.data.left_off > 0 && `, without ${databases.data.left_off} older dumps`),
        h("button", { className: "pgc-button", onClick: refresh }, "Refresh"))),
    h(Targets, { targets: page.targets, onOpen: open }),
    h("section", { "aria-labelledby": "pgc-bases" }, h("h2", { id: "pgc-bases" }, "Databases"),
      h(Databases, { answer: databases, chosen: filters.database, onChoose: (database) => change({ database }) }),
      !databases.problem && h(History, { key: `${store.name} ${drawn}`, store: store.name, database: drawn, onOpen: open, turn })),
    // What keeps the databases from being read keeps the list as well, and is said once.
    !databases.problem && h(List, { store: store.name, filters, turn, onOpen: open, onChange: change,
      addressOf: (dump) => addressOf("plugin/dumps", { store: store.name, dump }).href }));
};

const Content = () => {
  useClock();
  const [params, setParams] = useSearchParams();
  const { data: page, problem, isLoading, reload } = useRoute("page", {});
  const go = (values, isReplacing) => {
    const next = new URLSearchParams(params);
    for (const [name, value] of Object.entries(values)) value ? next.set(name, value) : next.delete(name);
    setParams(next, { replace: Boolean(isReplacing) });
  };
  if (problem) return h(Problem, { onRetry: reload }, problem);
  if (!page) return isLoading && h(Waiting, { lines: 6 });
  if (!page.stores.length && !page.targets.length) return h(Empty, { page });
  const named = params.get("store");
  const dumpKey = params.get("dump");
  if (dumpKey && !named)
    return h(Finding, { stores: page.stores, dumpKey, onBack: () => go({ dump: "" }), onFound: (store) => go({ store }, true) });
  const store = page.stores.find((one) => one.name === named) ?? (named ? undefined : page.stores[0]);
  if (!store)
    return named ? h(NotFound, { onBack: () => go({ store: "", dump: "" }) }, `There is no store ${named} that you may see.`)
      : h(Targets, { targets: page.targets, onOpen: () => {} });
  if (dumpKey)
    return h(DumpPage, { key: dumpKey, store, dumpKey, targets: page.targets, onBack: () => go({ dump: "", store: store.name }) });
  return h(Overview, { key: store.name, page, store, params, go });
};

globalThis.Dumps = () => h("div", { className: "pgc" }, h("div", { className: "pgc-page" }, h(Content, null)));
