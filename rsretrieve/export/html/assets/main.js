// Filters, keys and buttons.

const by = (id) => document.getElementById(id);

function option(value, text) {
  const made = element("option", "", text);
  made.value = value;
  return made;
}

function fillFilters() {
  for (const { kind, name, count, about } of DATA.kinds) {
    if (!count) continue;
    const box = element("input");
    box.type = "checkbox";
    box.checked = true;
    box.value = kind;
    const chip = element("label", "chip", box, `${name} (${count})`);
    chip.title = about;
    by("kinds").append(chip);
  }
  for (const side of ["given", "suggested"]) {
    const counts = new Map();
    for (const card of DATA.cards) counts.set(card[side], (counts.get(card[side]) || 0) + 1);
    for (const name of [...counts.keys()].sort()) {
      by(side).append(option(name, `${shown(name)} (${counts.get(name)})`));
    }
  }
}

function isShown(card, position) {
  const kinds = [...by("kinds").querySelectorAll("input:checked")].map((box) => box.value);
  const decided = Decisions.of.get(position);
  const done = Boolean(decided) && decided.decision !== "skip";
  const wanted = by("search").value.trim().toLowerCase();
  return kinds.includes(card.kind)
    && (!by("given").value || card.given === by("given").value)
    && (!by("suggested").value || card.suggested === by("suggested").value)
    && (!by("state").value || done === (by("state").value === "done"))
    && card.tile.toLowerCase().includes(wanted);
}

function applyFilters() {
  const positions = DATA.cards.map((_, position) => position)
    .filter((position) => isShown(DATA.cards[position], position));
  View.show(positions);
  by("shown").textContent = `${positions.length} of ${DATA.cards.length} shown`;
}

function clearFilters() {
  for (const box of by("kinds").querySelectorAll("input")) box.checked = true;
  for (const id of ["given", "suggested", "state", "search"]) by(id).value = "";
  applyFilters();
}

function showProgress(said = "") {
  const bar = by("bar");
  bar.style.width = `${(100 * Decisions.count) / Math.max(1, DATA.cards.length)}%`;
  bar.parentNode.setAttribute("aria-valuemax", DATA.cards.length);
  bar.parentNode.setAttribute("aria-valuenow", Decisions.count);
  const kept = Decisions.kept && Decisions.othersKept;
  const warning = kept ? "" : " This browser cannot keep decisions: save them before you close the page.";
  const others = Decisions.others.size ? `, and ${Decisions.others.size} on tiles without a card` : "";
  by("status").textContent = `${Decisions.count} of ${DATA.cards.length} decided${others}. ${said}${warning}`;
}

function decide(position, rule, label) {
  Decisions.set(position, rule, label);
  const index = View.positions.indexOf(position);
  showDecision(View.at(index));
  showProgress();
  View.focus(index + 1);
}

const ACTIONS = {
  accept: (position) => decide(position, "accept", DATA.cards[position].suggested),
  reject: (position) => decide(position, "reject", DATA.cards[position].given),
  remove: (position) => decide(position, "remove", ""),
  skip: (position) => decide(position, "skip", DATA.cards[position].given),
  choose: (position) => openChooser(position),
  undo: (position) => {
    Decisions.undo(position);
    showDecision(View.at(View.positions.indexOf(position)));
    showProgress();
  },
};

function openChooser(position) {
  const card = DATA.cards[position];
  by("chooser-tile").textContent = shown(card.tile);
  by("chooser-search").value = "";
  const list = () => {
    const wanted = by("chooser-search").value.trim().toLowerCase();
    const names = new Set([card.suggested, card.runnerUp, ...DATA.classes, ...Decisions.labels]);
    const labelled = (name, text) => {
      const button = element("button", "", text);
      button.value = `label:${name}`;
      return element("li", "", button);
    };
    const buttons = [...names].filter((name) => name.toLowerCase().includes(wanted))
      .map((name) => labelled(name, shown(name)));
    const typed = by("chooser-search").value.trim();
    if (typed && !names.has(typed)) buttons.push(labelled(typed, `new class: ${shown(typed)}`));
    if (!wanted) {
      const none = element("button", "plain", "no class: remove the label");
      none.value = "none";
      buttons.push(element("li", "", none));
    }
    by("chooser-list").replaceChildren(...buttons);
  };
  list();
  by("chooser-search").oninput = list;
  const dialog = by("chooser");
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    dialog.close();
    const chosen = event.submitter.value;
    if (chosen === "none") ACTIONS.remove(position);
    else if (chosen.startsWith("label:")) {
      const label = chosen.slice(6);
      decide(position, ruleFor(position, label), label);
    } else View.focus(View.positions.indexOf(position));
  };
  dialog.showModal();
  by("chooser-search").focus();
}

function save() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([Decisions.csv()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  showProgress("Saved as decisions.csv. Press ? for the command that applies it.");
}

async function load(file) {
  if (!file) return;
  try {
    const taken = Decisions.readCsv(await file.text());
    applyFilters();
    showProgress(`${taken} decisions read from ${file.name}.`);
  } catch (error) {
    showProgress(`${file.name} cannot be read: ${error.message}.`);
  }
}

const KEYS = {
  a: "accept", r: "reject", c: "choose", x: "remove", s: "skip", u: "undo",
  j: 1, ArrowDown: 1, k: -1, ArrowUp: -1,
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (event.key === "?") by("helper").showModal();
  else if (event.key === "/") by("search").focus();
  else {
    const meant = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (meant === undefined) return;
    if (typeof meant === "number") View.focus(View.current + (View.current < 0 ? 1 : meant));
    else {
      if (View.current < 0) View.focus(0);
      if (View.current >= 0) ACTIONS[meant](View.currentPosition());
    }
  }
  event.preventDefault();
}

function onCardClick(event) {
  const article = event.target.closest("article");
  if (!article) return;
  View.current = [...article.parentNode.children].indexOf(article);
  const button = event.target.closest("button[data-action]");
  if (button) ACTIONS[button.dataset.action](Number(article.dataset.position));
}

// A label without cards is not in the list yet, and a select can only have a value of its list.
function filterBy(side, name) {
  const options = [...by(side).options];
  if (!options.some(({ value }) => value === name)) by(side).append(option(name, `${shown(name)} (0)`));
  by(side).value = name;
}

function onCell(event) {
  const cell = event.target.closest(".cell");
  if (!cell || (event.type === "keydown" && event.key !== "Enter")) return;
  clearFilters();
  filterBy("given", cell.dataset.given);
  filterBy("suggested", cell.dataset.suggested);
  applyFilters();
  by("filters").scrollIntoView({ block: "center" });
}

function start() {
  Decisions.restore();
  fillFilters();
  by("reviewer").value = (() => {
    try { return localStorage.getItem("rsretrieve-reviewer") || ""; } catch { return ""; }
  })();
  by("reviewer").onchange = () => {
    try { localStorage.setItem("rsretrieve-reviewer", by("reviewer").value); } catch { /* not kept */ }
  };
  by("filters").addEventListener("input", applyFilters);
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("clear").onclick = clearFilters;
  by("save").onclick = save;
  by("load").onclick = () => by("file").click();
  by("file").onchange = () => { load(by("file").files[0]); by("file").value = ""; };
  by("help").onclick = () => by("helper").showModal();
  by("cards").addEventListener("click", onCardClick);
  by("cards").addEventListener("focusin", (event) => {
    const article = event.target.closest("article");
    if (article) View.current = [...article.parentNode.children].indexOf(article);
  });
  by("overview").addEventListener("click", onCell);
  by("overview").addEventListener("keydown", onCell);
  document.addEventListener("keydown", onKey);
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) View.grow();
  }, { rootMargin: "1500px" }).observe(by("more"));
  applyFilters();
  showProgress();
}

start();
