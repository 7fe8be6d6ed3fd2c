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
