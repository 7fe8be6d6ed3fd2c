// Decide on many tiles with one act: on the screen of the grid, or on all that the filters show.

const BULK = {
  accept: {
    // Off-topic tiles have no probable class, and what is not seen is not accepted.
    takes: (card) => card.kind !== OFF_TOPIC && card.picture >= 0,
    label: (card) => card.suggested,
    text: (count) => `Accept ${counted(count, "suggestion")}`,
  },
  reject: {
    takes: (card) => card.picture >= 0,
    label: (card) => card.given,
    text: (count) => `Keep ${counted(count, "label")}`,
  },
  remove: {
    takes: (card) => card.kind === OFF_TOPIC && card.picture >= 0,
    label: () => "",
    text: (count) => `No class: ${counted(count, "off-topic tile")}`,
  },
};
const PAIRS_NAMED = 8;

const Bulk = {
  get isScreen() { return View.isGrid && (Marks.isOn || byId("scope").value === "screen"); },

  // The undecided tiles that an act would decide on; those in disagreement are left for one by one.
  positions(rule, isScreen = this.isScreen) {
    const first = View.screen * SCREEN;
    const seen = isScreen ? View.positions.slice(first, first + SCREEN) : View.positions;
    return seen.filter((position) => !Decisions.of.has(position) && !Decisions.disputes.has(position)
      && BULK[rule].takes(CARDS[position]));
  },

  show() {
    byId("scope").hidden = !View.isGrid;
    for (const rule of Object.keys(BULK)) {
      const count = this.positions(rule).length, made = byId(`${rule}-all`);
      made.firstChild.textContent = `${BULK[rule].text(count)} `;
      made.disabled = !count;
      made.hidden = rule === "remove" && !CARDS.some(({ kind }) => kind === OFF_TOPIC);
    }
  },

  // One screen was seen; for more, a dialog first says what it is.
  ask(rule) {
    const positions = this.positions(rule);
    if (!positions.length) return;
    if (positions.length <= SCREEN) { this.run(rule, positions); return; }
    byId("asker-title").textContent = `${BULK[rule].text(positions.length)}?`;
    byId("asker-list").replaceChildren(...this.pairs(rule, positions));
    byId("asker").querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      byId("asker").close();
      if (event.submitter.value === "yes") this.run(rule, positions);
      else View.focus(View.current);
    };
    byId("asker").showModal();
  },

  pairs(rule, positions) {
    const counts = new Map();
    for (const position of positions) {
      const card = CARDS[position], label = BULK[rule].label(card);
      const pair = label === card.given ? shown(card.given) : `${shown(card.given)} → ${label ? shown(label) : "no class"}`;
      counts.set(pair, (counts.get(pair) || 0) + 1);
    }
    const lines = [...counts].sort((one, other) => other[1] - one[1])
      .map(([pair, count]) => element("li", "", `${pair}: ${count}`));
    const rest = lines.splice(PAIRS_NAMED);
    if (rest.length) lines.push(element("li", "", `and ${counted(rest.length, "other pair")} of labels`));
    if (rule === "accept" && DATA.hasProbabilities) {
      const known = positions.map((position) => CARDS[position].probabilities[1]).filter((p) => p !== null);
      const least = known.reduce((one, other) => Math.min(one, other), 1);
      lines.push(element("li", "", `The least probable suggestion has ${percent(least)}.`));
    }
    return lines;
  },

  run(rule, positions) {
    const { text, label } = BULK[rule];
    History.act(text(positions.length), positions, () => {
      for (const position of positions) Decisions.set(position, rule, label(CARDS[position]));
    });
    this.finish(`${text(positions.length)}: done. Z undoes it.`);
  },

  // After an act on a screen comes the next screen.
  finish(said) {
    View.refresh();
    Progress.show(said);
    Progress.say(said);
    if (this.isScreen && View.screen + 1 < View.screens) View.focus((View.screen + 1) * SCREEN);
    else View.focus(View.current);
    Bulk.show();
  },
};
