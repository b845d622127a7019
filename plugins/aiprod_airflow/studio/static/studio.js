// What the pages need beyond HTML: times in the reader's zone, dialogs, seeking, and parts that follow the job.

const $$ = (what, inside = document) => [...inside.querySelectorAll(what)];

// --- times -------------------------------------------------------------------------------------------

const near = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function told(at, now) {
  const seconds = Math.round((at - now) / 1000), far = Math.abs(seconds);
  if (far < 50) return near.format(seconds < 0 ? Math.min(-1, seconds) : seconds, "second");
  if (far < 3000) return near.format(Math.round(seconds / 60), "minute");
  if (far < 79200) return near.format(Math.round(seconds / 3600), "hour");
  return exact.format(at);
}

function times(inside = document) {
  const now = Date.now();
  for (const one of $$("time[datetime]", inside)) {
    const at = new Date(one.dateTime);
    if (isNaN(at)) continue;
    one.textContent = told(at, now);
    one.title = exact.format(at);
  }
}

// --- parts that follow ---------------------------------------------------------------------------------

// A part somebody types into, reads on in, or plays, is left alone.
const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")
  || part.querySelector("details[open]") !== null
  || $$("video", part).some((video) => !video.paused && !video.ended && !video.error);

let asking = null;
async function refresh() {
  asking?.abort();
  asking = new AbortController();
  let answer;
  try {
    answer = await fetch(location.href, { signal: asking.signal, headers: { Accept: "text/html" }, credentials: "same-origin" });
  } catch (error) {
    if (error.name !== "AbortError") offline(true);
    return;
  }
  offline(false);
  if (answer.status === 401) { ended(); return; }
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of $$("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (next && !busy(part) && part.dataset.was !== next.innerHTML) {
      const html = next.innerHTML;
      // The same words in another time zone are no change.
      if (plain(part) !== plain(next)) { part.innerHTML = html; times(part); charts(part); window.htmx?.process(part); }
      part.dataset.was = html;
    }
  }
  for (const dialog of $$("dialog:not([open])")) {
    const next = fresh.getElementById(dialog.id);
    if (next) { dialog.innerHTML = next.innerHTML; window.htmx?.process(dialog); } else dialog.remove();
  }
  for (const next of $$("dialog", fresh)) {
    if (!document.getElementById(next.id)) {
      const dialog = document.importNode(next, true);
      document.getElementById("main").append(dialog);
      window.htmx?.process(dialog);
    }
  }
}

function plain(part) {
  const copy = part.cloneNode(true);
  for (const one of $$("time", copy)) { one.textContent = ""; one.removeAttribute("title"); }
  for (const one of $$("[data-chart]", copy)) one.replaceChildren();
  return copy.innerHTML;
}

function offline(is) {
  const said = document.querySelector("[data-offline]");
  if (said) said.hidden = !is;
}

// The page stays, and what was typed into it: only its reader can log in again.
function ended() {
  stop();
  const said = document.querySelector("[data-ended]");
  if (said) said.hidden = false;
}

let stream = null, timer = null;
function stop() {
  stream?.close();
  clearInterval(timer);
}

function watch(address) {
  stream = new EventSource(address);
  for (const kind of ["snapshot", "change"]) stream.addEventListener(kind, refresh);
  // The server ends every stream after a while; the browser comes back by itself, unless the job is over.
  stream.addEventListener("end", (event) => { if (JSON.parse(event.data).over) { stream.close(); refresh(); } });
  stream.addEventListener("open", () => offline(false));
  stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) setTimeout(refresh, 2000); });
}

// --- what is pressed -----------------------------------------------------------------------------------

// The frame may not leave Airflow by itself: a link in the outer page may.
function leave(path) {
  if (window.parent === window) { location.href = path; return; }
  const link = window.parent.document.createElement("a");
  link.href = path;
  window.parent.document.body.append(link);
  link.click();
  link.remove();
}

function seek(button) {
  const video = document.getElementById(button.dataset.video);
  if (!video) return;
  const go = () => { video.currentTime = Number(button.dataset.seek); video.play().catch(() => {}); };
  if (video.readyState >= 1) go();
  else { video.addEventListener("loadedmetadata", go, { once: true }); video.play().catch(() => {}); }
  video.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function addShot() {
  const all = $$("[data-shot]"), last = all[all.length - 1], copy = last.cloneNode(true);
  for (const field of $$("input, textarea", copy)) { field.value = ""; field.removeAttribute("aria-invalid"); field.removeAttribute("aria-describedby"); }
  for (const said of $$(".wrong", copy)) said.remove();
  copy.querySelector("[data-n]").textContent = all.length + 1;
  last.after(copy);
  copy.querySelector("textarea").focus();
}

// What the price could not be made of is said at its field, too; not at the one that is being typed into.
function mark(offer) {
  for (const old of $$(".wrong.live")) {
    const field = old.parentElement.querySelector("[aria-invalid]");
    field?.removeAttribute("aria-invalid");
    field?.removeAttribute("aria-describedby");
    old.remove();
  }
  for (const one of $$("[data-wrong]", offer)) {
    const [, n, name] = one.dataset.wrong.match(/^shots\.(\d+)\.(\w+)$/) ?? [];
    const field = name ? $$(`#order [name="shot_${name}"]`)[n] : $$(`#order [name="${CSS.escape(one.dataset.wrong)}"]:not([type=radio])`)[0];
    if (!field || field === document.activeElement || field.hasAttribute("aria-invalid")) continue;
    const said = document.createElement("span");
    said.className = "wrong live";
    said.id = `wrong-${one.dataset.wrong}`;
    said.textContent = one.dataset.why;
    field.after(said);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", said.id);
  }
}

document.addEventListener("click", (event) => {
  const on = (what) => event.target.closest(what);
  let found;
  if ((found = on("[data-open]"))) document.getElementById(found.dataset.open)?.showModal();
  else if ((found = on("[data-close]"))) found.closest("dialog").close();
  else if ((found = on("[data-seek]"))) seek(found);
  else if (on("[data-add-shot]")) addShot();
  else if ((found = on("a[data-airflow]")) && !event.ctrlKey && !event.metaKey) { event.preventDefault(); leave(found.getAttribute("href")); }
});

document.addEventListener("submit", (event) => {
  // Once: what is sent twice is refused or the same, but nobody should have to wonder.
  if (event.target.method !== "post") return;
  for (const button of $$("button:not([type=button])", event.target)) { button.setAttribute("aria-busy", "true"); setTimeout(() => { button.disabled = true; }); }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const search = document.querySelector("[data-search]");
  if (event.key === "/" && search) { event.preventDefault(); search.focus(); }
  if (event.key === "n" && !document.querySelector("dialog[open]")) document.querySelector("a.new")?.click();
});

// Buttons pressed before going back would stay dead.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
document.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status === 401) ended(); });
document.addEventListener("htmx:afterSettle", (event) => { times(event.target); if (event.target.id === "offer") mark(event.target); });
window.addEventListener("offline", () => offline(true));
window.addEventListener("online", () => { offline(false); refresh(); });

times();
setInterval(times, 30000);
if (document.body.dataset.watch) watch(document.body.dataset.watch);
if (document.body.dataset.refresh) {
  timer = setInterval(() => { if (!document.hidden) refresh(); }, 1000 * Number(document.body.dataset.refresh));
}

// --- charts --------------------------------------------------------------------------------------------

function chart(box) {
  const { labels, y, bad, unit } = JSON.parse(box.dataset.chart), x = labels.map((label, n) => n);
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: ink("--soft"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line"), width: 1 } };
  const small = box.classList.contains("small"), places = unit !== "$" ? 0 : Math.max(...y) < 0.1 ? 4 : 2;
  const told = (value) => `${unit}${value.toFixed(places)}`;
  const bars = (colour) => ({ stroke: ink(colour), fill: ink(colour), width: 0, paths: uPlot.paths.bars({ size: [0.7, 40] }), points: { show: false } });
  const said = document.createElement("p");
  said.className = "sub reading";
  // What the pointer is over, in words below the bars.
  const read = (u) => { const n = u.cursor.idx; said.textContent = n === null || n === undefined ? "" : `${labels[n]}: ${told(y[n] + (bad ? bad[n] : 0))}`; };
  box.replaceChildren();
  new uPlot({
    width: box.clientWidth, height: small ? 150 : 220, legend: { show: false }, cursor: { drag: { x: false, y: false }, y: false }, hooks: { setCursor: [read] },
    scales: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, size: 28, grid: { show: false }, incrs: [1, 2, 5, 10], space: small ? 90 : 50, values: (u, all) => all.map((n) => labels[n] ?? "") }, { ...axis, size: 64, values: (u, all) => all.map((v) => unit === "$" || Number.isInteger(v) ? told(v) : "") }],
    series: [{}, bars("--accent"), ...(bad ? [bars("--bad")] : [])],
  }, bad ? [x, y, bad] : [x, y], box);
  box.append(said);
}

function charts(inside = document) { if (window.uPlot) $$("[data-chart]", inside).forEach(chart); }
charts();
window.addEventListener("resize", () => charts());
new MutationObserver(() => charts()).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
