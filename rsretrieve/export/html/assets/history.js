// What was done, to undo it: one act may decide on one tile or on thousands.

const MOST_ACTS = 1000;

const History = {
  acts: [],

  // Do something to some cards, and perhaps to tiles without a card, and remember how they were.
  act(name, positions, does, toOthers = false) {
    const before = positions.map((position) =>
      [position, Decisions.of.get(position), Decisions.disputes.get(position)]);
    const others = toOthers ? new Map(Decisions.others) : null;
    does();
    this.acts.push({ name, before, others });
    if (this.acts.length > MOST_ACTS) this.acts.shift();
  },

  // Returns what was undone, or nothing.
  undo() {
    const act = this.acts.pop();
    if (!act) return undefined;
    for (const [position, decision, opinions] of act.before) {
      if (decision) Decisions.of.set(position, decision);
      else Decisions.of.delete(position);
      if (opinions) Decisions.disputes.set(position, opinions);
      else Decisions.disputes.delete(position);
    }
    if (act.others) Decisions.replaceOthers(act.others);
    Decisions.keep();
    return act;
  },
};
