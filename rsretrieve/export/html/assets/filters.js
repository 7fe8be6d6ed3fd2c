// The filters: kind of issue, labels, probability, decision, name, place.

const Filters = {
  place: null,  // {has(card), text}: set by the map

  fill() {
    for (const { kind, name, count, about } of DATA.kinds) {
      if (!count) continue;
      const box = element("input");
      box.type = "checkbox";
      box.checked = true;
      box.value = kind;
      const chip = element("label", "chip", box, `${name} (${count})`);
      chip.title = about;
      byId("kinds").append(chip);
    }
    for (const side of ["given", "suggested"]) {
      const counts = new Map();
      for (const card of CARDS) counts.set(card[side], (counts.get(card[side]) || 0) + 1);
      for (const name of [...counts.keys()].sort()) {
        byId(side).append(option(name, `${shown(name)} (${counts.get(name)})`));
      }
    }
    byId("least").closest("label").hidden = !DATA.hasProbabilities;
  },

  // A function that tells whether a card is shown, by what the filters say now.
  test() {
    const kinds = new Set([...byId("kinds").querySelectorAll("input:checked")].map((box) => box.value));
    const [given, suggested, state] = ["given", "suggested", "state"].map((id) => byId(id).value);
    const wanted = byId("search").value.trim().toLowerCase();
    const [from, below] = byId("least").value.split("-").map(Number);
    const { place } = this;
    return (card, position) => kinds.has(card.kind)
      && (!given || card.given === given)
      && (!suggested || card.suggested === suggested)
      && (!below || (card.probabilities[1] >= from && card.probabilities[1] < below))
      && hasState(position, state)
      && (!place || place.has(card))
      && card.tile.toLowerCase().includes(wanted);
  },

  apply() {
    const isShown = this.test(), positions = [];
    CARDS.forEach((card, position) => { if (isShown(card, position)) positions.push(position); });
    View.show(positions);
    byId("shown").textContent = `${positions.length} of ${CARDS.length} shown`;
    byId("place").hidden = !this.place;
    if (this.place) byId("place").textContent = `${this.place.text} ✕`;
    Bulk.show();
  },

  clear() {
    for (const box of byId("kinds").querySelectorAll("input")) box.checked = true;
    for (const id of ["given", "suggested", "least", "state", "search"]) byId(id).value = "";
    this.place = null;
    IssueMap.frames = [];
    IssueMap.draw();
    this.apply();
  },

  // A label without cards is not in the list yet, and a select can only have a value of its list.
  choose(side, name) {
    const options = [...byId(side).options];
    if (!options.some(({ value }) => value === name)) byId(side).append(option(name, `${shown(name)} (0)`));
    byId(side).value = name;
  },

  // Show the cards of a cell of the matrix.
  onCell(event) {
    const cell = event.target.closest(".cell");
    if (!cell || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    this.clear();
    this.choose("given", cell.dataset.given);
    this.choose("suggested", cell.dataset.suggested);
    this.apply();
    byId("filters").scrollIntoView({ block: "center" });
  },
};

function hasState(position, state) {
  if (state === "disputed") return Decisions.disputes.has(position);
  return !state || Decisions.isDone(position) === (state === "done");
}
