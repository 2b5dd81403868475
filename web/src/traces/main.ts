/** The dashboard: joins the address, the views, the live feed and what can go wrong. */
import "../style/tokens.css";
import "../style/base.css";
import "../style/traces.css";
import "../style/lists.css";
import "../style/figures.css";
import "../style/turn.css";
import "../style/waterfall.css";
import { byId } from "../view/dom";
import { Notices } from "../view/notices";
import { themeButton } from "../view/theme";
import * as api from "./api";
import { Feed } from "./live";
import { HOME, href, parse, type Route, type View as ViewName } from "./route";
import { CompareView } from "./view/compare-view";
import { FilterBar } from "./view/filter-bar";
import { LatencyView } from "./view/latency-view";
import { emptyState, link } from "./view/parts";
import { SessionsView } from "./view/sessions-view";
import { Tip } from "./view/tip";
import { TurnView } from "./view/turn-view";
import { TurnsView } from "./view/turns-view";
import { throttled, type View } from "./view/view";
import { troubleNotice } from "./words";

const TITLES: Record<ViewName, string> = {
  turns: "Turns",
  sessions: "Sessions",
  latency: "Latency",
  compare: "Compare",
};

const content = byId("content");
const live = byId("live");
const notices = new Notices<"request">();
const tip = new Tip();
const turnView = new TurnView(tip, failed);
const views: Record<ViewName, View> = {
  turns: new TurnsView(navigate, failed),
  sessions: new SessionsView(failed),
  latency: new LatencyView(navigate, failed),
  compare: new CompareView(navigate),
};
const filterBar = new FilterBar(navigate);

/** How often new values to filter by are looked for while turns come in. */
const FACETS_MS = 10_000;

let route: Route = HOME;
/** The list that was last looked at: the way back from a turn. */
let list: Route = HOME;
let shown: View | null = null;
/** When the page last heard of the server, unix seconds. */
let heard: number | null = null;
/** Where each page of the history was scrolled to. */
const scrolled = new Map<string, number>();

function navigate(to: Route, replace = false): void {
  const address = href(to);
  if (replace) history.replaceState(null, "", address);
  else {
    scrolled.set(location.search, scrollY);
    history.pushState(null, "", address);
  }
  void open(parse(location.search), !replace && viewOf(to) !== shown);
}

const viewOf = (to: Route): View => (to.turn === undefined ? views[to.view] : turnView);

/** Show what a route asks for; `fromTop`: as a new page, read from its top. */
async function open(to: Route, fromTop: boolean): Promise<void> {
  route = to;
  if (to.turn === undefined) list = to;
  const view = viewOf(to);
  const changed = view !== shown;
  if (changed && shown === turnView) turnView.leave();
  shown = view;
  tip.hide();
  filterBar.show(to);
  showNavigation(to);
  if (changed) content.replaceChildren(view.element);
  if (fromTop) scrollTo({ top: 0 });
  await attempt(() => view.show(to));
  if (changed && fromTop) byId("main").focus({ preventScroll: true });
}

function showNavigation(to: Route): void {
  document.title = to.turn === undefined ? `${TITLES[to.view]} – Traces` : "Traces";
  byId("title").textContent = to.turn === undefined ? TITLES[to.view] : "A turn";
  for (const anchor of document.querySelectorAll<HTMLAnchorElement>(".views a")) {
    const view = anchor.dataset.view as ViewName;
    const back = view === list.view && to.turn !== undefined;
    anchor.href = href(back ? list : { ...HOME, view, filters: list.filters });
    const current = to.turn === undefined ? view === to.view : false;
    if (current) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
}

async function attempt(work: () => Promise<void>): Promise<void> {
  content.setAttribute("aria-busy", "true");
  try {
    await work();
    succeeded();
  } catch (error) {
    if (api.isAborted(error)) return; // whoever aborted it is still at work
    failed(error);
  }
  content.setAttribute("aria-busy", "false");
}

function succeeded(): void {
  heard = Date.now() / 1000;
  notices.show("request", null);
}

function failed(error: unknown): void {
  if (api.isAborted(error)) return;
  if (!(error instanceof api.ApiError)) throw error;
  const again = () => {
    feed.retryNow();
    void refresh();
  };
  if (error.status === 401) return askForToken();
  if (error.status === 404 && route.turn !== undefined && !error.message.includes("off")) {
    return showMissingTurn(route.turn);
  }
  const kind = error.status === 0 ? "unreachable" : error.status === 404 ? "off" : "refused";
  const trouble =
    kind === "unreachable"
      ? ({ kind, since: heard } as const)
      : ({ kind, text: error.message } as const);
  notices.show("request", troubleNotice(trouble), kind === "off" ? undefined : again);
}

function showMissingTurn(id: string): void {
  const box = emptyState(
    "This turn is not here",
    `No turn is called ${id}. It may have been too old to be kept, or belong to another server.`,
    link({}, "All turns", "button outlined"),
  );
  shown = null;
  content.replaceChildren(box);
}

// ----- the token, where the server asks for one -----

const tokenForm = byId<HTMLFormElement>("token");

function askForToken(): void {
  tokenForm.hidden = false;
  content.replaceChildren();
  shown = null;
  byId("token-text").focus();
}

tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(async () => {
    const right = await api.present(byId<HTMLInputElement>("token-text").value);
    byId("token-note").textContent = right ? "" : "That is not the token.";
    if (!right) return;
    tokenForm.hidden = true;
    feed.retryNow();
    await begin();
  });
});

// ----- what happens while the page is open -----

function offerFilters(): void {
  Promise.all([api.facets(), api.runs()]).then(
    ([facets, { runs }]) => filterBar.offer(facets, runs),
    () => undefined, // the view's own request tells what is wrong
  );
}
const offerFiltersAgain = throttled(offerFilters, FACETS_MS);

const feed = new Feed(api.liveUrl(), {
  turn: (turn) => {
    shown?.turn?.(turn);
    offerFiltersAgain();
  },
  session: (session) => shown?.session?.(session),
  lost: () => void refresh(),
  opened: (again) => {
    showLive("live", "Live");
    if (again) void refresh();
  },
  broken: () => {
    showLive("broken", "Reconnecting");
    api.facets().then(succeeded, failed); // an EventSource does not say what is wrong
  },
});

function showLive(state: "live" | "broken", text: string): void {
  live.dataset.state = state;
  live.textContent = text;
}

function refresh(): Promise<void> {
  const view = shown;
  if (!view) return open(route, false);
  return attempt(() => view.refresh());
}

async function begin(): Promise<void> {
  offerFilters();
  await open(parse(location.search), false);
}

// ----- links, keys, history -----

document.addEventListener("click", (event) => {
  const anchor = event.target instanceof Element ? event.target.closest("a") : null;
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!anchor || !plain || !anchor.getAttribute("href")?.startsWith("?")) return;
  event.preventDefault();
  navigate(parse(new URL(anchor.href).search));
});

document.addEventListener("keydown", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (event.ctrlKey || event.metaKey || event.altKey || target?.closest("input, select")) return;
  document.querySelector<HTMLAnchorElement>(`a[data-key="${CSS.escape(event.key)}"]`)?.click();
});

history.scrollRestoration = "manual";
addEventListener("popstate", () => {
  const top = scrolled.get(location.search) ?? 0;
  void open(parse(location.search), false).then(() => scrollTo({ top }));
});

themeButton(() => shown?.recolour?.());
void begin();
