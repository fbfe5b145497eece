// One dump: what it holds, what it left out, what is masked, and where it comes from.
import { bytes, count, duration, exact, many, short } from "./format.js";
import { h, useRoute, useState } from "./host.js";
import { Restore, Verify } from "./dialogs.js";
import { Age, Badges, Copy, Facts, Maker, Problem, Size, Waiting } from "./parts.js";

const FEW = 15;
const named = (schema, name) => (schema === "public" ? name : `${schema}.${name}`);

const Tables = ({ tables, leftOff, largeObjects }) => {
  const [isAll, setAll] = useState(false);
  const largest = Math.max(1, ...tables.map((one) => one.raw_bytes));
  const all = tables.reduce((sum, one) => sum + one.raw_bytes, 0) + (largeObjects ?? 0);
  const shown = isAll ? tables : tables.slice(0, FEW);
  return h("section", { "aria-labelledby": "pgc-tables" },
    h("h2", { id: "pgc-tables" }, "Tables"),
    h("p", { className: "pgc-muted" }, `${many(tables.length + (leftOff ?? 0), "table")} with rows, ${bytes(all)} before compression`,
      largeObjects > 0 && `, ${bytes(largeObjects)} of it large objects`),
    h("table", { className: "pgc-table pgc-bars" },
      h("thead", { className: "pgc-hidden" }, h("tr", null, ["Table", "Share", "Rows", "Size"].map((one) => h("th", { key: one, scope: "col" }, one)))),
      h("tbody", null, shown.map((one) => h("tr", { key: `${one.schema} ${one.name}` },
        h("th", { scope: "row", title: `${one.schema}.${one.name}` }, named(one.schema, one.name)),
        h("td", { className: "pgc-bar", "aria-label": `${Math.round((100 * one.raw_bytes) / Math.max(1, all))} percent` },
          h("i", { style: { width: `${Math.max(0.5, (100 * one.raw_bytes) / largest)}%` } })),
        h("td", { className: "pgc-number" }, one.rows === null ? "not counted" : many(one.rows, "row")),
        h("td", { className: "pgc-number" }, h(Size, { value: one.raw_bytes })))))),
    tables.length > FEW && h("button", { className: "pgc-button", "aria-expanded": isAll, onClick: () => setAll(!isAll) },
      isAll ? `Show the ${FEW} largest` : `Show all ${count(tables.length)}`));
};

const LeftOut = ({ dump, facts }) => {
  const content = Object.entries(facts.content ?? {}).filter(([, values]) => values.length);
  const rows = facts.masking?.rows ?? [];
  return h("section", null, h("h2", null, "What was left out"),
    !content.length && !rows.length && h("p", null, dump.left_out?.length ? dump.left_out.join("; ") : "Nothing: the dump has the whole database."),
    content.length > 0 && h(Facts, { rows: content.map(([name, values]) => [name.replaceAll("_", " "), h("code", null, values.join(", "))]) }),
    rows.length > 0 && h("table", { className: "pgc-table" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Table"), h("th", { scope: "col" }, "Only rows with"))),
      h("tbody", null, rows.map(([schema, table, condition], n) => h("tr", { key: n }, h("td", null, named(schema, table)), h("td", null, h("code", null, condition)))))));
};

const Masks = ({ masking }) => {
  const [isOpen, setOpen] = useState(false);
  if (!masking) return h("section", null, h("h2", null, "Masks"), h("p", null, "None: each value is as it was in the source."));
  const columns = [
    ...masking.columns.map(([schema, table, column, rule]) => [schema, table, column, "masked", rule]),
    ...masking.unclassified.map((one) => [...one.slice(0, 3), "unclassified", "as it was, not declared safe"]),
    ...masking.kept.map((one) => [...one.slice(0, 3), "kept", "as it was, declared safe"]),
  ];
  const shown = isOpen ? columns : columns.slice(0, FEW);
  return h("section", { "aria-labelledby": "pgc-masks" }, h("h2", { id: "pgc-masks" }, "Masks"),
    h("p", { className: "pgc-muted" }, `${many(masking.columns.length, "column")} masked, ${count(masking.kept.length)} declared safe, `
      + `${count(masking.unclassified.length)} not classified. Policy: ${masking.policy ?? "none"}.`),
    h("table", { className: "pgc-table" },
      h("thead", null, h("tr", null, ["Table", "Column", "What happens"].map((one) => h("th", { key: one, scope: "col" }, one)))),
      h("tbody", null, shown.map(([schema, table, column, what, rule], n) => h("tr", { key: n },
        h("td", null, named(schema, table)), h("td", null, h("code", null, column)),
        h("td", { className: what === "masked" ? "" : "pgc-muted" }, what === "masked" ? `masked: ${rule}` : rule))))),
    columns.length > FEW && h("button", { className: "pgc-button", "aria-expanded": isOpen, onClick: () => setOpen(!isOpen) },
      isOpen ? "Show fewer" : `Show all ${count(columns.length)}`),
    masking.reported?.length > 0 && h("p", { className: "pgc-note" }, "May also hold personal data, as it was: ",
      masking.reported.map((one) => one.join(" ")).join("; ")));
};

const Verification = ({ found }) => {
  if (!found) return "no";
  const what = { damaged: "found damaged", restore: "restored and compared", archive: "every byte checked" }[found.finding] ?? String(found.finding);
  const why = Object.entries(found.details ?? {}).map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`).join("; ");
  return h("span", { title: why }, what, found.found_at && [", ", h(Age, { key: "age", at: found.found_at })]);
};

const Body = ({ answer }) => {
  const { summary, facts = {} } = answer;
  return h("div", { className: "pgc-columns" },
    h("div", null,
      answer.tables ? h(Tables, { tables: answer.tables, leftOff: answer.tables_left_off, largeObjects: answer.large_object_bytes })
        : h("p", { className: "pgc-empty" }, "The published catalogue has the tables of the newest dumps alone."),
      answer.tables && h(LeftOut, { dump: summary, facts }),
      answer.tables && h(Masks, { masking: facts.masking })),
    h("aside", null, h("h2", null, "Facts"), h(Facts, { rows: [
      ["Made", h(Age, { at: summary.created_at }), exact(summary.created_at)],
      ["Made by", h(Maker, { maker: summary.made_by })],
      summary.made_by?.task && ["Task", String(summary.made_by.task)],
      summary.made_by?.run && ["Run", h("span", { className: "pgc-break" }, String(summary.made_by.run))],
      ["Took", duration(summary.seconds)],
      ["Size in storage", h(Size, { value: summary.size_bytes })],
      ["Size of the database", h(Size, { value: summary.database_bytes })],
      ["Rows", count(summary.rows)],
      ["Verified", h(Verification, { found: answer.verification })],
      ["Signature", answer.is_signed ? "yes; this page does not check it" : "none"],
      answer.has_checksums && ["Checksums", "yes"],
      ["PostgreSQL", summary.server_version || "unknown"],
      facts.pg_dump_version && ["pg_dump", facts.pg_dump_version],
      facts.compression && ["Compression", facts.compression],
      facts.encoding && ["Encoding", facts.encoding],
      facts.package_version && ["Written by", `airflow-provider-pgclone ${facts.package_version}`],
    ] })));
};

export const DumpPage = ({ store, dumpKey, targets, onBack }) => {
  const { data, problem, isLoading, reload } = useRoute("dump", { store: store.name, key: dumpKey });
  const [dialog, setDialog] = useState(null);
  const summary = data?.summary;
  const close = () => { setDialog(null); reload(); };
  return h("div", null,
    h("button", { className: "pgc-link pgc-back", onClick: onBack }, "← All dumps"),
    problem && h(Problem, { onRetry: reload }, problem),
    !data && isLoading && h(Waiting, { lines: 6 }),
    summary && h("div", null,
      h("header", { className: "pgc-head" },
        h("div", null, h("h1", null, `${summary.database}, ${short(summary.created_at)}`),
          h("p", null, h(Age, { at: summary.created_at }), " ", h(Badges, { dump: summary }))),
        h("div", { className: "pgc-actions" },
          store.may_verify && h("button", { className: "pgc-button", onClick: () => setDialog("verify") }, "Verify…"),
          summary.finding !== "damaged" && targets.some((one) => one.may_restore) && h("button", { className: "pgc-button pgc-primary", onClick: () => setDialog("restore") }, "Restore…"))),
      h("p", { className: "pgc-keyline" }, h("code", null, summary.key), h(Copy, { text: summary.key })),
      data.verification?.finding === "damaged" && h(Problem, null,
        ["A verification found this dump damaged", ...Object.values(data.verification.details ?? {})].join(": ")),
      summary.problem && h(Problem, null, `It cannot be read: ${summary.problem}.`),
      h(Body, { answer: data }),
      dialog === "restore" && h(Restore, { dump: summary, isSigned: data.is_signed, targets, onClose: close }),
      dialog === "verify" && h(Verify, { dump: summary, dag: store.verify_dag, onClose: close })));
};
