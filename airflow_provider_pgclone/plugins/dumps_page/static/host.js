// What the page takes of Airflow: its React, its address, its API. No names from dumps become markup:
// they are children of elements, which React writes as texts, or encoded parts of relative addresses.

const { createElement, useCallback, useEffect, useRef, useState } = globalThis.React;
export { useCallback, useEffect, useRef, useState };
export const h = createElement;
export const { useSearchParams } = globalThis.ReactRouterDOM;

export const addressOf = (path, query = {}) => {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  return url;
};

// An encoded "." or ".." is still one to a browser, and would lead out of Airflow.
const part = (text) => (/^\.{0,2}$/.test(String(text)) ? null : encodeURIComponent(String(text)));

export const runAddress = (maker) => {
  const dag = part(maker?.dag ?? "");
  const run = part(maker?.run ?? "");
  const task = part(maker?.task ?? "");
  if (!dag) return null;
  if (!run) return addressOf(`dags/${dag}`).href;
  const index = /^\d+$/.test(String(maker.map_index ?? "")) ? `/mapped/${maker.map_index}` : "";
  return addressOf(`dags/${dag}/runs/${run}${task ? `/tasks/${task}${index}` : ""}`).href;
};

const messageOf = async (response) => {
  const body = await response.json().catch(() => ({}));
  if (typeof body.detail === "string") return body.detail;
  if (response.status === 401) return "Your session has ended. Log in to Airflow again.";
  if (response.status === 403) return "You may not see this. Ask for the right to read its DAG.";
  return `Airflow answered ${response.status} ${response.statusText}`;
};

const send = async (url, options) => {
  const response = await fetch(url, { credentials: "same-origin", ...options });
  if (!response.ok) throw new Error(await messageOf(response));
  return response.json();
};

export const read = (route, query, signal) =>
  send(addressOf(`pgclone/api/${route}`, query), { signal });

export const trigger = (dag, conf) =>
  send(addressOf(`api/v2/dags/${encodeURIComponent(dag)}/dagRuns`), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ logical_date: null, conf }),
  });

// What a route answers: {data, problem, isLoading, reload}; it keeps the last answer while it reads.
export const useRoute = (route, query, isWanted = true) => {
  const [state, setState] = useState({ data: null, problem: null, isLoading: isWanted });
  const [turn, setTurn] = useState({ number: 0, fresh: false });
  const wanted = JSON.stringify(query);
  useEffect(() => {
    if (!isWanted) return undefined;
    const stop = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    read(route, { ...JSON.parse(wanted), ...(turn.fresh ? { fresh: "true" } : {}) }, stop.signal)
      .then((data) => setState({ data, problem: null, isLoading: false }))
      .catch((error) => {
        if (error.name !== "AbortError")
          setState({ data: null, problem: error.message, isLoading: false });
      });
    return () => stop.abort();
  }, [route, wanted, isWanted, turn]);
  const reload = useCallback(() => setTurn((one) => ({ number: one.number + 1, fresh: true })), []);
  return { ...state, reload };
};

// The width of an element, for drawings whose letters keep their size.
export const useWidth = () => {
  const place = useRef(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!place.current) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry.contentRect.width)));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return [place, width];
};

export const useClock = () => {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((one) => one + 1), 30000);
    return () => clearInterval(timer);
  }, []);
};
