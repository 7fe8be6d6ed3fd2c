// Starts the page: connects buttons, fields and keys with what they do.

function startReviewer() {
  const field = byId("reviewer");
  try { field.value = localStorage.getItem("rsretrieve-reviewer") || ""; } catch { /* not kept */ }
  field.onchange = () => {
    try { localStorage.setItem("rsretrieve-reviewer", field.value); } catch { /* not kept */ }
  };
}

function startButtons() {
  byId("clear").onclick = () => Filters.clear();
  byId("place").onclick = () => { IssueMap.frames = []; IssueMap.filter(); };
  for (const id of ["save", "save-too"]) if (byId(id)) byId(id).onclick = save;
  byId("load").onclick = () => byId("file").click();
  byId("file").onchange = () => { load(byId("file").files[0]); byId("file").value = ""; };
  byId("help").onclick = () => byId("helper").showModal();
  byId("undo").onclick = undoLast;
  byId("copy").onclick = () => Progress.copyCommand();
  byId("as-cards").onclick = () => View.setGrid(false);
  byId("as-grid").onclick = () => View.setGrid(true);
  byId("previous-screen").onclick = () => move("p");
  byId("next-screen").onclick = () => move("n");
  byId("mark").onclick = () => Marks.setOn(!Marks.isOn);
  byId("apply-marks").onclick = () => Marks.apply();
  byId("scope").onchange = () => Bulk.show();
  for (const rule of Object.keys(BULK)) byId(`${rule}-all`).onclick = () => Bulk.ask(rule);
  for (const pressed of document.querySelectorAll("#pager [data-action], #enlarger [data-step]")) {
    pressed.onclick = () => (pressed.dataset.action
      ? ACTIONS[pressed.dataset.action](View.position) : View.focus(View.current + Number(pressed.dataset.step)));
  }
}

function startCards() {
  const cards = byId("cards");
  cards.addEventListener("click", onCardClick);
  cards.addEventListener("dblclick", (event) => {
    if (View.isGrid && !Marks.isOn && event.target.closest("article")) Enlarger.open();
  });
  cards.addEventListener("focusin", (event) => {
    const article = event.target.closest("article");
    if (article) View.setCurrent(Number(article.dataset.index));
  });
  byId("enlarger").addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-action]");
    if (pressed) ACTIONS[pressed.dataset.action](View.position);
  });
  byId("enlarger").addEventListener("close", () => View.focus(Enlarger.index));
}

function start() {
  Decisions.onLost = () => Progress.show();
  Decisions.restore();
  Filters.fill();
  byId("filter-part").open = !matchMedia("(max-width: 60rem)").matches;  // the cards come first
  IssueMap.start();
  Marks.learnSigns();
  startReviewer();
  startButtons();
  startCards();
  byId("filters").addEventListener("input", () => Filters.apply());
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const type of ["click", "keydown"]) byId("overview").addEventListener(type, (event) => Filters.onCell(event));
  document.addEventListener("keydown", onKey);
  addEventListener("pagehide", () => Decisions.write());
  document.addEventListener("visibilitychange", () => { if (document.hidden) Decisions.write(); });
  Filters.apply();
  View.focus(0, { scrolls: false });
  Progress.show();
  requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("cards")));
  Pictures.fill();
  document.addEventListener("DOMContentLoaded", () => Pictures.fill());
}

start();
