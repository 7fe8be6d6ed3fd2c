// The decisions: kept in the browser, saved as CSV and loaded again.

const COLUMNS = ["tile", "label", "decision", "given_label", "suggested_label", "kind", "by", "at",
  "labels_file", "labels_digest"];
const WRITE_AFTER_MS = 200;  // 20,000 decisions are too many to write on every key

const Decisions = {
  of: new Map(),  // position of a card -> {decision, label, by, at}
  others: earlier(),  // tile without a card -> its row as loaded; saved with the others
  disputes: new Map(),  // position -> [[who, label], …]: reviewers differ, and nothing is decided
  kept: true,
  warning: "This browser cannot keep decisions: save them before you close the page.",
  timer: 0,

  restore() {
    this.others = earlier();
    CARDS.forEach(({ opinions }, position) => { if (opinions) this.disputes.set(position, opinions); });
    try {
      for (const [tile, row] of JSON.parse(localStorage.getItem(KEY_OF_OTHERS) || "[]")) {
        if (!faultOf(row)) this.others.set(tile, withOrigin(row));
      }
      for (const [tile, opinions] of JSON.parse(localStorage.getItem(KEY_OF_DISPUTES) || "[]")) {
        if (POSITION.has(tile)) this.disputes.set(POSITION.get(tile), opinions);
      }
      for (const [tile, decision] of Object.entries(JSON.parse(localStorage.getItem(KEY) || "{}"))) {
        if (POSITION.has(tile)) this.put(POSITION.get(tile), asDecided(POSITION.get(tile), decision));
      }
      localStorage.setItem(`${KEY}-test`, "");
      localStorage.removeItem(`${KEY}-test`);
    } catch {
      this.kept = false;  // the browser stores nothing for pages from disk
    }
  },

  // Write soon; `write` also runs when the page is left.
  keep() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), WRITE_AFTER_MS);
  },

  write() {
    clearTimeout(this.timer);
    const content = Object.create(null);
    for (const [position, decision] of this.of) content[CARDS[position].tile] = decision;
    const disputes = [...this.disputes].map(([position, opinions]) => [CARDS[position].tile, opinions]);
    const could = this.kept;
    this.kept = [[KEY, content], [KEY_OF_OTHERS, [...this.others]], [KEY_OF_DISPUTES, disputes]]
      .map(([key, value]) => stored(key, value)).every(Boolean);
    if (could !== this.kept && this.onLost) this.onLost();
  },

  // A decision ends the disagreement about its tile; a skipped tile stays in disagreement.
  put(position, decision) {
    this.of.set(position, decision);
    if (decision.decision !== "skip") this.disputes.delete(position);
  },

  set(position, rule, label) {
    const by = document.getElementById("reviewer").value.trim();
    this.put(position, { decision: rule, label, by, at: new Date().toISOString() });
    this.keep();
  },

  remove(position) {
    this.of.delete(position);
    this.keep();
  },

  isDone(position) {
    const decided = this.of.get(position);
    return decided !== undefined && decided.decision !== "skip";
  },

  // The labels of all decisions, including new classes.
  get labels() {
    return new Set([...this.of.values()].map(({ label }) => label).filter((label) => label !== ""));
  },

  get count() {
    let count = 0;
    for (const { decision } of this.of.values()) count += decision !== "skip";
    return count;
  },

  csv() {
    const rows = [...this.of.keys()].sort((a, b) => a - b).map((position) => {
      const card = CARDS[position];
      const { decision, label, by, at } = this.of.get(position);
      return withOrigin([card.tile, label, decision, card.given, card.suggested, card.kind, by, at]);
    });
    return [COLUMNS, ...rows, ...this.others.values()].map((row) => row.map(quoted).join(",") + "\n").join("");
  },

  // Returns the numbers of decisions read, for tiles of this page and others, and of those that
  // differ from decisions of somebody else: these tiles are then undecided. Rows that nobody
  // decided on (`open`), or that contradict themselves (`wrong`), are left out.
  readCsv(text, source = "the file") {
    const { names, rows } = tableRows(text, ["tile", "label"]);
    const at = Object.fromEntries(names.map((name, column) => [name, column]));
    const found = { taken: 0, differing: 0, differingOthers: 0, open: 0, wrong: [] };
    for (const row of rows) {
      if (!row[at.tile]) continue;
      const position = POSITION.get(row[at.tile]);
      const cells = cleaned(COLUMNS.map((name) => row[at[name]] ?? ""));
      const fault = faultOf(cells);
      if (fault === "open") found.open += 1;
      if (fault === "wrong") found.wrong.push(row[at.tile]);
      if (fault) continue;
      found.taken += 1;
      if (position === undefined) found.differingOthers += this.readOther(cells);
      else found.differing += this.readOne(position, cells, source);
    }
    this.write();
    return found;
  },

  // Returns whether the decision differs from the one that is there.
  readOne(position, [, label, decision, , , , by, at], source) {
    const theirs = asDecided(position, { decision, label, by, at });
    const mine = this.of.get(position);
    if (differ(mine, theirs)) {
      this.of.delete(position);
      this.disputes.set(position, [[mine.by || "this page", mine.label], [by || source, label]]);
      return true;
    }
    if (!mine || mine.decision === "skip" || theirs.decision !== "skip") this.put(position, theirs);
    return false;
  },

  replaceOthers(others) {
    this.others = others;
  },

  readOther(cells) {
    const as = ([, label, decision, , , , by]) => ({ label, decision, by });
    const mine = this.others.get(cells[0]);
    if (mine && differ(as(mine), as(cells))) {
      this.others.delete(cells[0]);
      return true;
    }
    this.others.set(cells[0], withOrigin(cells));
    return false;
  },
};

// The cells of a row as `read_decisions` reads them.
function cleaned([tile, label, decision, given, suggested, ...rest]) {
  const [own, before, offered] = [label, given, suggested].map((cell) => {
    const text = cell.normalize("NFC").trim();
    return NO_LABEL.includes(text) ? "" : text;
  });
  return [tile, own, decision.trim().toLowerCase(), before, offered, ...rest];
}

// Why a row is no decision: "open" if nobody decided, "wrong" if its cells contradict each other, by
// which `read_decisions` refuses the whole file. Empty if it is one.
function faultOf([, label, decision, given, suggested]) {
  if (NOT_MADE.includes(decision)) return "open";
  if (decision === "" || decision === "person") return "";
  if (!RULES.includes(decision)) return "wrong";
  if (decision === "remove") return label ? "wrong" : "";
  if (decision === "skip") return label && given && label !== given ? "wrong" : "";
  const expected = { accept: suggested, reject: given }[decision] || label;
  return label && label === expected ? "" : "wrong";
}

// A decision that was made elsewhere, perhaps on another suggestion, as one on a card of this page.
function asDecided(position, { decision, label, by, at }) {
  const { given, suggested } = CARDS[position];
  if (decision === "skip") return { decision, label: given, by, at };
  const isAccepted = decision === "accept" && label !== "" && label === suggested;  // given, too, maybe
  return { decision: isAccepted ? "accept" : ruleFor(position, label), label, by, at };
}

// Whether two decisions on a tile contradict each other. Whoever decides again changes their mind;
// nobody knows whether two reviewers without a name are one.
function differ(mine, theirs) {
  if (!mine || mine.decision === "skip" || theirs.decision === "skip") return false;
  return mine.label !== theirs.label && (mine.by !== theirs.by || !mine.by);
}

// The decisions that the page was made with, on tiles without a card.
function earlier() {
  return new Map((DATA.earlier || []).filter((row) => !POSITION.has(row[0]) && !faultOf(row))
    .map((row) => [row[0], row]));
}

function withOrigin(row) {
  return [...row.slice(0, COLUMNS.length - ORIGIN.length), ...ORIGIN];
}

function stored(key, content) {
  try {
    localStorage.setItem(key, JSON.stringify(content));
    return true;
  } catch {
    return false;
  }
}
