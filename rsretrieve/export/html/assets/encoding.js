// The encoding of a table, found out from its bytes as rsretrieve/_core/tables/csv_dialect.py does it.

const NO_WINDOWS_1252 = [0x81, 0x8d, 0x8f, 0x90, 0x9d];
const OTHER_FILES = [
  ["PK\x03\x04", "it is a workbook or a ZIP archive"],
  ["\xd0\xcf\x11\xe0", "it is a workbook of Excel"],
  ["\x1f\x8b", "it is compressed"],
  ["%PDF", "it is a PDF document"],
];
const MARKS = [  // a mark of UTF-32 begins with one of UTF-16
  ["\xff\xfe\0\0", "utf-32le"], ["\0\0\xfe\xff", "utf-32be"], ["\xef\xbb\xbf", "utf-8"],
  ["\xff\xfe", "utf-16le"], ["\xfe\xff", "utf-16be"],
];

// The text of a file, and its encoding if that was only guessed.
function decoded(bytes) {
  const start = String.fromCharCode(...bytes.slice(0, 8));
  const other = OTHER_FILES.find(([mark]) => start.startsWith(mark));
  if (other) throw new Error(`${other[1]}; save the table as CSV in UTF-8`);
  const encoding = markedEncoding(start) || unmarkedUtf16(start);
  if (encoding) return { text: strictly(encoding, bytes), guessed: "" };
  try {
    return { text: strictly("utf-8", bytes), guessed: "" };
  } catch {
    return { text: windowsText(bytes), guessed: "Windows-1252" };
  }
}

function markedEncoding(start) {
  return (MARKS.find(([mark]) => start.startsWith(mark)) || [])[1];
}

function unmarkedUtf16(start) {
  const zeros = start.split("\0").length - 1;
  if (start.length < 2 || zeros !== Math.floor(start.length / 2)) return "";
  return start[1] === "\0" ? "utf-16le" : "utf-16be";
}

function strictly(encoding, bytes) {
  try {
    return encoding.startsWith("utf-32") ? utf32Text(bytes, encoding === "utf-32le")
      : new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`it is not ${encoding.toUpperCase()}; save it as UTF-8`);
  }
}

// Browsers do not decode UTF-32.
function utf32Text(bytes, isLittle) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let text = "";
  for (let at = 4; at < bytes.length; at += 4) {
    const code = view.getUint32(at, isLittle);
    if (code >= 0xd800 && code < 0xe000) throw new Error("a surrogate");
    text += String.fromCodePoint(code);
  }
  return text;
}

function windowsText(bytes) {
  const hasMark = bytes.some((byte, at) => (  // U+FFFD, which the decoder also puts for other bytes
    byte === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd));
  if (hasMark || /[^\0-\x7f\ufffd]/.test(new TextDecoder().decode(bytes))) {
    throw new Error("it mixes two encodings; save it as UTF-8");
  }
  if (bytes.some((byte) => NO_WINDOWS_1252.includes(byte))) {
    throw new Error("it is neither UTF-8 nor Windows-1252; save it as UTF-8");
  }
  return new TextDecoder("windows-1252").decode(bytes);
}
