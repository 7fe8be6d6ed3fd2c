// CSV as the program writes and reads it.
//
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

// The blanks that Python strips; `trim` of JavaScript knows others.
const BLANK = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*";
const BLANKS_AROUND = new RegExp(`^${BLANK}|${BLANK}$`, "g");
const SEPARATOR_LINE = new RegExp(`^"?sep=([^\\n])"?${BLANK}$`);
const MOST_FIELD_CHARACTERS = 10_000_000;

function stripped(text) {
  return text.replace(BLANKS_AROUND, "");
}

// The first rows that have a value, with the lines on which they end. As Python's csv.reader in strict
// mode, skipping blanks after a separator: a quote is one only where a cell begins.
function csvRows(text, separator, above = 0, most = Infinity) {
  const rows = [];
  let cells = [], cell = "", line = above, begun = line + 1;
  let state = "start";  // of a row; "begin" of a cell; in a "plain" or a "quoted" cell; "closed"
  const fail = (why) => { throw new Error(`the row that begins on line ${begun}: ${why}`); };
  const keep = () => { cells.push(cell); cell = ""; };
  const end = () => {
    line += 1;
    if (state === "quoted") return;
    if (state !== "start") keep();
    if (cells.some(Boolean)) rows.push({ line, cells });
    [cells, state, begun] = [[], "start", line + 1];
  };
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    const ends = character === "\n" || (character === "\r" && text[i + 1] !== "\n");
    const isBreak = ends || character === "\r";
    if (state === "quoted" && character !== '"') cell += character;
    else if (state === "quoted") state = "closed";
    else if (isBreak) { /* see below */ }
    else if (character === separator) { keep(); state = "begin"; }
    else if (state === "closed" && character === '"') { cell += character; state = "quoted"; }
    else if (state === "closed") fail(`'${separator}' expected after '"'`);
    else if (state === "plain") cell += character;
    else if (character === '"') state = "quoted";
    else if (character === " ") state = "begin";
    else { cell += character; state = "plain"; }
    if (cell.length > MOST_FIELD_CHARACTERS) fail("a field is too long");
    if (ends) end();
    if (rows.length === most) return rows;
  }
  if (state === "quoted") fail("a double quote is never closed");
  end();
  return rows;
}

// The header and the rows of a table that must have some columns, separated as spreadsheets do it.
// What is cut off or damaged is refused as a whole. rsretrieve/_core/tables does the same.
function tableRows(text, required) {
  const [first] = text.match(/^[^\r\n]*(?:\r\n|[\r\n])?/);
  const named = first.slice(0, 20).match(SEPARATOR_LINE);
  if (named && /[ "\r]/.test(named[1])) throw new Error("its first line names no separator");
  const content = named ? text.slice(first.length) : text;
  const tables = (named ? [named[1]] : [",", ";", "\t"]).map((separator) => {
    const names = headerOf(content, separator);
    return { separator, names, fits: new Set(required.filter((name) => names.includes(name))).size };
  });
  const best = tables.reduce((one, other) => (
    other.fits > one.fits || (other.fits === one.fits && other.names.length > one.names.length)
      ? other : one));
  const [, ...rows] = csvRows(content, best.separator, Number(Boolean(named)));
  checkNames(best.names, required);
  return { names: best.names, rows: rows.map((row) => cellsOf(row, best.names.length)) };
}

// The names in the first row; none where the separator does not fit.
function headerOf(content, separator) {
  try {
    const [header] = csvRows(content, separator, 0, 1);
    return (header ? header.cells : []).map((name) => restored(stripped(name)).toLowerCase());
  } catch {
    return [];
  }
}

function checkNames(names, required) {
  if (!required.every((name) => names.includes(name))) {
    throw new Error(`the file has no columns ${required.map((name) => `“${name}”`).join(" and ")}`);
  }
  const double = names.find((name, at) => name && names.indexOf(name) !== at);
  if (double !== undefined) throw new Error(`the column “${double}” occurs more than once`);
}

// A spreadsheet adds empty cells after the last column.
function cellsOf({ line, cells }, length) {
  if (cells.length < length || cells.slice(length).some(Boolean)) {
    throw new Error(`line ${line} has ${cells.length} fields, and the header has ${length}`);
  }
  return cells.slice(0, length).map(restored);
}
