// Marking: on a screen of the grid, the few tiles whose suggestion is wrong are marked, one key or
// tap each; then one key decides on all thirty.
//
// The thirty keys of the three rows of letters stand for the thirty tiles, which lie in three rows,
// too. Keys are told apart by where they are, so that this holds for every layout of letters.

const ROWS = ["qwertyuiop", "asdfghjkl;", "zxcvbnm,./"];
const CODES_OF_SIGNS = { ";": "Semicolon", ",": "Comma", ".": "Period", "/": "Slash" };
const CELL_CODES = [...ROWS.join("")].map((sign) => CODES_OF_SIGNS[sign] || `Key${sign.toUpperCase()}`);

const MARK_TEXTS = {
  reject: (card) => `keep ${shown(card.given)}`,
  second: (card) => `take ${shown(card.second)}`,
  leave: () => "leave undecided",
};

const Marks = {
  isOn: false,
  of: new Map(),  // position -> "reject", "second" or "leave"
  signs: [...ROWS.join("")],

  // The letters of this keyboard, where the browser tells them.
  async learnSigns() {
    try {
      const layout = await navigator.keyboard.getLayoutMap();
      this.signs = CELL_CODES.map((code, number) => layout.get(code) || this.signs[number]);
    } catch { /* the letters of the usual layout */ }
  },

  setOn(isOn) {
    this.isOn = isOn && View.isGrid;
    if (!this.isOn) this.of.clear();
    byId("mark").setAttribute("aria-pressed", this.isOn);
    byId("marking").hidden = !this.isOn;
    byId("single-acts").hidden = this.isOn;  // their keys mean tiles now
    if (!View.isGrid) return;
    View.drawScreen();
    View.focus(View.current);
  },

  // What pressing a cell again and again means. The likelier of the two labels comes first.
  choices(card) {
    const [given, , second] = card.probabilities;
    if (!card.second) return ["reject", "leave"];
    return second > given ? ["second", "reject", "leave"] : ["reject", "second", "leave"];
  },

  toggle(index) {
    const position = View.positions[index];
    if (position === undefined || Decisions.of.has(position)) return;
    const card = CARDS[position], choices = this.choices(card);
    const next = choices[choices.indexOf(this.of.get(position)) + 1];
    if (next) this.of.set(position, next);
    else this.of.delete(position);
    View.focus(index);
    View.refresh(position);
    Progress.say(`${shown(card.tile)}: ${next ? MARK_TEXTS[next](card) : "no mark"}`);
  },

  // Returns whether the key stands for a cell.
  onKey(event) {
    const number = CELL_CODES.indexOf(event.code);
    if (!this.isOn || event.shiftKey || number < 0) return false;
    this.toggle(View.screen * SCREEN + number);
    return true;
  },

  // Decide on the screen: the marked tiles as marked, the others as suggested.
  apply() {
    const first = View.screen * SCREEN;
    const seen = View.positions.slice(first, first + SCREEN).filter((position) => !Decisions.of.has(position));
    const accepted = Bulk.positions("accept", true).filter((position) => !this.of.has(position));
    const marked = seen.filter((position) => this.of.has(position) && this.of.get(position) !== "leave");
    const name = `${counted(accepted.length, "suggestion")} accepted, ${counted(marked.length, "marked tile")} decided`;
    History.act(name, [...accepted, ...marked], () => {
      for (const position of accepted) Decisions.set(position, "accept", CARDS[position].suggested);
      for (const position of marked) this.decide(position, CARDS[position]);
    });
    this.of.clear();
    Bulk.finish(`${name}. Ctrl+Z undoes it.`);
  },

  decide(position, card) {
    if (this.of.get(position) === "reject") Decisions.set(position, "reject", card.given);
    else Decisions.set(position, ruleFor(position, card.second), card.second);
  },
};
