// Small parts of which the page is made.
import { ago, bytes, exact } from "./format.js";
import { h, runAddress, useEffect, useRef, useState } from "./host.js";

export const Age = ({ at }) =>
  h("time", { dateTime: String(at), title: exact(at), className: "pgc-nowrap" }, ago(at));

export const Badge = ({ kind, sign, children, title }) =>
  h("span", { className: `pgc-badge pgc-${kind}`, title },
    h("span", { "aria-hidden": true }, sign), children);

const VERIFIED = { restore: "A verification restored it and compared its rows.",
  archive: "A verification checked every byte." };

// What is known of a dump, in words.
export const Badges = ({ dump, isShort }) => {
  const found = [];
  if (dump.finding === "damaged")
    found.push(["bad", "✕", "Damaged", "A verification found it damaged: it cannot be restored."]);
  if (dump.problem) found.push(["bad", "!", "Unreadable", dump.problem]);
  if (dump.is_masked === true) found.push(["good", "◐", "Masked", "Columns are masked."]);
  if (dump.is_masked === false)
    found.push(["warn", "○", "Not masked", "No column is masked: it has the values of its source."]);
  if (dump.left_out?.length)
    found.push(["warn", "◔", "Partial", `It left out: ${dump.left_out.join("; ")}`]);
  if (VERIFIED[dump.finding])
    found.push(["good", "✓", dump.finding === "restore" ? "Verified by restore" : "Verified",
      VERIFIED[dump.finding]]);
  if (!dump.finding && !isShort)
    found.push(["calm", "·", "Not verified", "No verification has looked at it."]);
  return h("span", { className: "pgc-badges" },
    found.map(([kind, sign, text, title]) => h(Badge, { key: text, kind, sign, title }, text)));
};

export const Maker = ({ maker, nobody = "unknown" }) => {
  const address = runAddress(maker);
  if (address)
    return h("a", { href: address, className: "pgc-link", title: `Run ${maker.run ?? ""}` },
      String(maker.dag));
  return h("span", { className: "pgc-muted" }, maker?.maker ? String(maker.maker) : nobody);
};

// Messages of the package start with a small letter, as those of PostgreSQL do.
const sentence = (text) =>
  (typeof text === "string" && text ? text[0].toUpperCase() + text.slice(1) : text);

export const Problem = ({ children, onRetry }) =>
  h("div", { className: "pgc-problem", role: "alert" },
    h("span", null, sentence(children)),
    onRetry && h("button", { className: "pgc-button", onClick: onRetry }, "Try again"));

export const Waiting = ({ lines = 3 }) =>
  h("div", { className: "pgc-waiting", role: "status", "aria-label": "Loading" },
    Array.from({ length: lines }, (_, n) => h("span", { key: n })));

export const Copy = ({ text, label = "Copy key" }) => {
  const [said, say] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch { // without HTTPS browsers have no clipboard
      const box = document.createElement("textarea");
      box.value = text;
      document.body.append(box);
      box.select();
      say(document.execCommand("copy") ? "Copied" : "Select the key and copy it");
      box.remove();
    }
    setTimeout(() => say(""), 2500);
  };
  return h("button", { className: "pgc-button", onClick: copy, "aria-live": "polite" }, said || label);
};

// The browser's own dialog: it keeps the focus, and Esc closes it.
export const Dialog = ({ title, onClose, children }) => {
  const place = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    place.current.showModal();
    return () => before?.focus?.();
  }, []);
  return h("dialog", {
    ref: place, className: "pgc-dialog", "aria-label": title, onClose,
    onClick: (event) => event.target === place.current && place.current.close(),
  },
  h("div", { className: "pgc-dialog-body" },
    h("header", null, h("h2", null, title),
      h("button", { className: "pgc-close", "aria-label": "Close", onClick: () => place.current.close() }, "✕")),
    children));
};

export const Facts = ({ rows }) =>
  h("dl", { className: "pgc-facts" },
    rows.filter(Boolean).map(([name, value, title]) =>
      h("div", { key: name }, h("dt", null, name), h("dd", { title }, value))));

export const Size = ({ value }) =>
  h("span", { className: "pgc-number", title: typeof value === "number" ? `${value.toLocaleString("en")} bytes` : "" },
    bytes(value));
