// Words and numbers for people.

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const EXACT = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});
const SHORT = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const COUNT = new Intl.NumberFormat("en");
const UNITS = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400],
  ["hour", 3600], ["minute", 60], ["second", 1]];

const dateOf = (text) => {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? null : date;
};

export const ago = (text) => {
  const date = dateOf(text);
  if (!date) return "at an unknown time";
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  if (seconds < 10) return "just now";
  // "10 days" says more than "1 week".
  const [unit, size] = UNITS.find(([, one]) => seconds >= one * (one >= 604800 ? 2 : 1));
  return RELATIVE.format(-Math.floor(seconds / size), unit);
};
export const exact = (text) => (dateOf(text) ? EXACT.format(dateOf(text)) : String(text ?? ""));
export const short = (text) => (dateOf(text) ? SHORT.format(dateOf(text)) : String(text ?? ""));
export const day = (text) => (dateOf(text) ? DAY.format(dateOf(text)) : "");

export const bytes = (value) => {
  if (typeof value !== "number") return "unknown";
  const names = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  const power = Math.min(names.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  const scaled = value / 1000 ** power;
  return `${power && scaled < 99.95 ? scaled.toFixed(1) : COUNT.format(Math.round(scaled))} ${names[power]}`;
};
export const count = (value) => (typeof value === "number" ? COUNT.format(value) : "unknown");
export const many = (value, one, several) => `${count(value)} ${value === 1 ? one : several ?? `${one}s`}`;
export const duration = (value) => {
  if (typeof value !== "number") return "unknown";
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  const minutes = Math.floor(value / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(value % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

export const nameOf = (key) => String(key).split("/").slice(0, 2).join("/");
export const databaseOf = (key) => String(key).split("/")[1] ?? String(key);
