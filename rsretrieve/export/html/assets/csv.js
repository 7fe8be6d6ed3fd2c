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

// RFC 4180: fields between commas, lines between line ends, either inside double quotes.
function csvRows(text, separator = ",") {
  const rows = [];
  let row = [], field = "", inQuotes = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i];
    if (inQuotes) {
      if (character !== '"') field += character;
      else if (text[i + 1] === '"') { field += '"'; i += 1; }
      else inQuotes = false;
    } else if (character === '"') inQuotes = true;
    else if (character === separator) { row.push(field); field = ""; }
    else if (character === "\n") { row.push(field); rows.push(row); row = []; field = ""; }
    else if (character !== "\r") field += character;
  }
  if (inQuotes) throw new Error("a double quote is never closed");
  if (field !== "" || row.length) { row.push(field); rows.push(row); }
  return rows.map((cells) => cells.map(restored));
}

// The header and the rows of a table that must have some columns, separated as spreadsheets do it.
// What is cut off or damaged is refused as a whole, as the program does it.
function tableRows(text, required) {
  const content = text.replace(/^\ufeff/, "");
  for (const separator of [",", ";", "\t"]) {
    const [header = [], ...rows] = csvRows(content, separator);
    const names = header.map((name) => name.trim().toLowerCase());
    if (!required.every((name) => names.includes(name))) continue;
    const filled = rows.filter((row) => row.some(Boolean));
    for (const [number, row] of filled.entries()) {
      if (row.length < names.length || row.slice(names.length).some(Boolean)) {
        throw new Error(`row ${number + 1} has ${row.length} fields, and the header has ${names.length}`);
      }
    }
    return { names, rows: filled };
  }
  throw new Error(`the file has no columns ${required.map((name) => `“${name}”`).join(" and ")}`);
}

// The text of a file, and its encoding if that was only guessed; as the program reads it.
function decoded(bytes) {
  const mark = bytes[0] * 256 + bytes[1];
  const encoding = { 0xfffe: "utf-16le", 0xfeff: "utf-16be" }[mark] || "utf-8";
  try {
    return { text: new TextDecoder(encoding, { fatal: true }).decode(bytes), guessed: "" };
  } catch {
    const isMixed = /[^\0-\x7f\ufffd]/.test(new TextDecoder(encoding).decode(bytes));
    if (isMixed) throw new Error("it mixes two encodings; save it as UTF-8");
    return { text: new TextDecoder("windows-1252").decode(bytes), guessed: "Windows-1252" };
  }
}
