"use strict";
// The data of the page, and the decisions: kept in the browser, saved as CSV and loaded again.

const DATA = JSON.parse(document.getElementById("data").textContent);
const KEY = `rsretrieve-audit-${DATA.id}`;
const KEY_OF_OTHERS = `${KEY}-others`;
const COLUMNS = ["tile", "label", "decision", "given_label", "suggested_label", "kind", "by", "at",
  "labels_file", "labels_digest"];
// The labels that the page was made from: the program refuses to apply the decisions to others.
const ORIGIN = [DATA.labelsFile || "", DATA.labelsDigest || ""];
const RULES = ["accept", "reject", "choose", "remove", "skip"];
const POSITION = new Map(DATA.cards.map((card, position) => [card.tile, position]));

const Decisions = {
  of: new Map(),  // position of a card -> {decision, label, by, at}
  others: earlier(),  // tile without a card -> its row as loaded; saved with the others
  kept: true,
  othersKept: true,

  restore() {
    try {
      this.others = earlier();
      for (const [tile, row] of JSON.parse(localStorage.getItem(KEY_OF_OTHERS) || "[]")) {
        this.others.set(tile, withOrigin(row));
      }
      for (const [tile, decision] of Object.entries(JSON.parse(localStorage.getItem(KEY) || "{}"))) {
        if (POSITION.has(tile)) this.of.set(POSITION.get(tile), decision);
      }
    } catch {
      this.kept = false;  // the browser stores nothing for pages from disk
    }
  },

  keep() {
    const content = Object.create(null);
    for (const [position, decision] of this.of) content[DATA.cards[position].tile] = decision;
    this.kept = stored(KEY, content);
  },

  set(position, rule, label) {
    const by = document.getElementById("reviewer").value.trim();
    this.of.set(position, { decision: rule, label, by, at: new Date().toISOString() });
    this.keep();
  },

  undo(position) {
    this.of.delete(position);
    this.keep();
  },

  // The labels of all decisions, including new classes.
  get labels() {
    return [...this.of.values()].map(({ label }) => label).filter((label) => label !== "");
  },

  get count() {
    let count = 0;
    for (const { decision } of this.of.values()) count += decision !== "skip";
    return count;
  },

  csv() {
    const rows = [...this.of.keys()].sort((a, b) => a - b).map((position) => {
      const card = DATA.cards[position];
      const { decision, label, by, at } = this.of.get(position);
      return withOrigin([card.tile, label, decision, card.given, card.suggested, card.kind, by, at]);
    });
    return [COLUMNS, ...rows, ...this.others.values()].map((row) => row.map(quoted).join(",") + "\n").join("");
  },

  // Returns the number of decisions read, for tiles of this page and others.
  readCsv(text) {
    const [header = [], ...rows] = csvRows(text.replace(/^\ufeff/, ""));
    const at = Object.fromEntries(header.map((name, column) => [name, column]));
    if (at.tile === undefined || at.label === undefined) {
      throw new Error("the file has no columns “tile” and “label”");
    }
    let taken = 0;
    for (const row of rows) {
      if (!row[at.tile]) continue;
      taken += 1;
      const position = POSITION.get(row[at.tile]);
      if (position === undefined) {
        this.others.set(row[at.tile], withOrigin(COLUMNS.map((name) => row[at[name]] ?? "")));
        continue;
      }
      const label = row[at.label] ?? "";
      const rule = RULES.includes(row[at.decision]) ? row[at.decision] : ruleFor(position, label);
      this.of.set(position, { decision: rule, label, by: row[at.by] || "", at: row[at.at] || "" });
    }
    this.keep();
    this.othersKept = stored(KEY_OF_OTHERS, [...this.others]);
    return taken;
  },
};

// The decisions that the page was made with, on tiles without a card.
function earlier() {
  return new Map((DATA.earlier || []).filter(([tile]) => !POSITION.has(tile)).map((row) => [row[0], row]));
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

function ruleFor(position, label) {
  const card = DATA.cards[position];
  if (label === "") return "remove";
  if (label === card.given) return "reject";
  return label === card.suggested ? "accept" : "choose";
}

// Text that a spreadsheet would run as a formula gets a leading apostrophe, which is removed when
// the file is read. rsretrieve/_core/formulas.py does the same and explains the rules.
const HIDING = "\\x00-\\x08\\x0b\\x0c\\x0e-\\x20\\x7f-\\xa0\\xad\\u1680\\u180e\\u2000-\\u200f"
  + "\\u2028-\\u202f\\u205f-\\u2064\\u3000\\ufeff\"";
const FORMULA = "=+\\-@\\uff1d\\uff0b\\uff0d\\uff20";
const NUMBER = "[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?";
const BEGIN = "(?:^|(?<=[;\\t\\r\\n]))";
const TO_MARK = new RegExp(
  `^(?!${NUMBER}$)(?='*[${HIDING}]*[${FORMULA}])|^(?='*[${HIDING}]*[\\t\\r\\n])`
  + `|(?<=[;\\t\\r\\n])(?='*[${HIDING}]*[${FORMULA}])`, "g");
const TO_RESTORE = new RegExp(
  `${BEGIN}'(?='*[${HIDING}]*[${FORMULA}])|^'(?='*[${HIDING}]*[\\t\\r\\n])`, "g");

function quoted(field) {
  const text = field.replace(TO_MARK, "'");
  return /^ |[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function restored(field) {
  return field.replace(TO_RESTORE, "");
}

// RFC 4180: fields between commas, lines between line ends, either inside double quotes.
function csvRows(text) {
  const rows = [];
  let row = [], field = "", inQuotes = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    if (inQuotes) {
      if (character !== '"') field += character;
      else if (text[i + 1] === '"') { field += '"'; i += 1; }
      else inQuotes = false;
    } else if (character === '"') inQuotes = true;
    else if (character === ",") { row.push(field); field = ""; }
    else if (character === "\n") { row.push(field); rows.push(row); row = []; field = ""; }
    else if (character !== "\r") field += character;
  }
  if (field !== "" || row.length) { row.push(field); rows.push(row); }
  return rows.map((cells) => cells.map(restored));
}
