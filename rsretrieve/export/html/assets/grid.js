// The cells of the grid: a picture with its number on the screen, its labels and its decision.

const SHORT_TEXTS = {
  accept: () => "accepted", reject: () => "kept", choose: ({ label }) => shown(label),
  remove: () => "no class", skip: () => "skipped",
};

function cellText(position) {
  const decided = Decisions.of.get(position), mark = Marks.of.get(position);
  if (mark) return MARK_TEXTS[mark](CARDS[position]);
  return decided ? SHORT_TEXTS[decided.decision](decided) : "";
}

function cellOf(index) {
  const card = CARDS[View.positions[index]];
  const number = Marks.isOn ? Marks.signs[index % SCREEN] : String(index % SCREEN + 1).padStart(2, "0");
  const probability = card.probabilities[1];
  const label = card.kind === OFF_TOPIC ? "no class?" : shown(card.suggested);
  const isTold = probability !== null && card.kind !== OFF_TOPIC;
  const told = element("div", "cell-labels", element("b", "", label),
    element("span", "given", `${isTold ? `${percent(probability)}, ` : ""}not ${shown(card.given)}`));
  told.title = `${shown(card.tile)}: ${shown(card.given)} → ${shown(card.suggested)}`;
  return articleOf(index, "cell",
    element("span", "number", number),
    picture(card.picture, card.reason, card.tile, "picture"),
    told, element("p", "decision"));
}

// The number of columns, as the browser laid them out.
function columnsOf(cells) {
  const first = cells[0]?.offsetTop;
  const next = [...cells].findIndex((cell) => cell.offsetTop !== first);
  return next < 0 ? Math.max(1, cells.length) : next;
}

// Two digits name a cell of the screen.
const Digits = {
  typed: "",
  timer: 0,

  // Returns the number of the cell as soon as it is complete.
  type(digit) {
    clearTimeout(this.timer);
    this.typed += digit;
    if (this.typed.length === 2) {
      const number = Number(this.typed);
      this.typed = "";
      return number;
    }
    this.timer = setTimeout(() => { this.typed = ""; }, 2000);
    return undefined;
  },
};
