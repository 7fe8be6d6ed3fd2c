// What keys and buttons do.

function decide(position, rule, label) {
  History.act(`the decision on ${CARDS[position].tile}`, [position], () => Decisions.set(position, rule, label));
  View.refresh(position);
  Progress.show();
  Progress.say(`${shown(CARDS[position].tile)}. ${decisionText(position)}. ${byId("status").textContent}`);
  View.focus(afterDecision());
  Enlarger.show();
}

// Where a decision leads to: in the list, to the next undecided tile; whoever went back to change a
// decision is where they were before. In the grid, to the next tile of the same screen: a bulk act
// must not meet tiles that were not seen.
function afterDecision() {
  const next = View.current + 1;
  if (View.isGrid && !Enlarger.dialog.open) return next % SCREEN ? next : View.current;
  const open = View.positions.findIndex((position, index) => index >= next && !Decisions.of.has(position));
  return open < 0 ? next : open;
}

const ACTIONS = {
  accept: (position) => decide(position, "accept", CARDS[position].suggested),
  reject: (position) => decide(position, "reject", CARDS[position].given),
  second: (position) => {
    const { second } = CARDS[position];
    if (second) decide(position, ruleFor(position, second), second);
    else Progress.say("This tile has no third class");
  },
  remove: (position) => decide(position, "remove", ""),
  skip: (position) => decide(position, "skip", CARDS[position].given),
  choose: (position) => Chooser.open(position),
  enlarge: () => Enlarger.open(),
  undo: (position) => {
    if (!Decisions.of.has(position)) return;
    History.act(`the undoing on ${CARDS[position].tile}`, [position], () => Decisions.remove(position));
    View.refresh(position);
    Progress.show();
    Enlarger.show();
    Progress.say(`${shown(CARDS[position].tile)} is undecided`);
  },
};

function undoLast() {
  const act = History.undo();
  if (!act) { Progress.say("There is nothing to undo"); return; }
  View.refresh();
  Progress.show(`Undone: ${shown(act.name)}.`);
  Progress.say(`Undone: ${shown(act.name)}`);
  const index = act.before.length ? View.positions.indexOf(act.before[0][0]) : -1;
  if (index >= 0) View.focus(index);
  Enlarger.show();
}

const KEYS = {
  a: "accept", b: "second", r: "reject", c: "choose", x: "remove", s: "skip", u: "undo", " ": "enlarge",
};
const BULK_KEYS = { A: "accept", R: "reject", X: "remove" };

// By how many cards a key moves; nothing if it does not move.
function stepOf(key) {
  if (key === "j" || (key === "ArrowDown" && !View.isGrid)) return 1;
  if (key === "k" || (key === "ArrowUp" && !View.isGrid)) return -1;
  if (!View.isGrid && !Enlarger.dialog.open) return 0;
  if (key === "ArrowRight") return 1;
  if (key === "ArrowLeft") return -1;
  const columns = columnsOf(View.box.querySelectorAll("article"));
  return { ArrowDown: columns, ArrowUp: -columns, n: SCREEN, p: -SCREEN }[key] || 0;
}

function move(key) {
  const step = stepOf(key);
  if (!step) return false;
  if (Math.abs(step) === SCREEN) View.focus((View.screen + Math.sign(step)) * SCREEN);
  else View.focus(View.current + step);
  return true;
}

// The next undecided tile; behind the last one comes the first.
function toOpen() {
  const count = View.positions.length;
  for (let step = 1; step <= count; step += 1) {
    const index = (View.current + step) % count;
    if (!Decisions.of.has(View.positions[index])) { View.focus(index); return; }
  }
  Progress.say("All shown tiles are decided");
}

function jump(key) {
  if (!View.isGrid || !/^[0-9]$/.test(key)) return false;
  const number = Digits.type(key);
  const index = View.screen * SCREEN + number - 1;
  if (number >= 1 && number <= SCREEN && index < View.positions.length) View.focus(index);
  return true;
}

function onKey(event) {
  const isUndo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if (((event.ctrlKey || event.metaKey) && !isUndo) || event.altKey) return;
  const opened = document.querySelector("dialog[open]");
  if (opened && opened !== Enlarger.dialog) return;
  if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  // The space bar presses the button, opens the part or ticks the box that has the focus.
  if ((event.key === " " || event.key === "Enter") && event.target.matches("button:not(.zoom), summary, input")) return;
  if (!opened && !isUndo && Marks.onKey(event)) { event.preventDefault(); return; }
  if (act(event.key, isUndo)) event.preventDefault();
}

// Do what a key means; returns whether it means something.
function act(key, isUndo) {
  if (isUndo || key === "z" || key === "Z") undoLast();
  else if (BULK_KEYS[key] && !Enlarger.dialog.open) Bulk.ask(BULK_KEYS[key]);
  else if (key === " " && Enlarger.dialog.open) Enlarger.close();
  else if (KEYS[key.toLowerCase()]) {
    if (View.positions.length) ACTIONS[KEYS[key.toLowerCase()]](View.position);
  } else if (key === "?") byId("helper").showModal();
  else if (key === "/") byId("search").focus();
  else if (key === "o") toOpen();
  else if (key === "m" && View.isGrid) Marks.setOn(!Marks.isOn);
  else if (key === "Escape" && Marks.isOn) Marks.setOn(false);
  else if (key === "Enter" && Marks.isOn) Marks.apply();
  else if (key === "g") View.setGrid(!View.isGrid);
  else return move(key) || jump(key);
  return true;
}

function onCardClick(event) {
  const article = event.target.closest("article");
  if (!article) return;
  View.setCurrent(Number(article.dataset.index));
  const pressed = event.target.closest("[data-action]");
  if (pressed) ACTIONS[pressed.dataset.action](Number(article.dataset.position));
  else if (Marks.isOn) Marks.toggle(View.current);
  else if (View.isGrid) View.focus(View.current);
}
