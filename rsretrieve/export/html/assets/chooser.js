// The list of all classes, to choose another label, or a new one.

const Chooser = {
  open(position) {
    const card = CARDS[position];
    byId("chooser-tile").textContent = `${shown(card.tile)}, labelled ${shown(card.given)}`;
    byId("chooser-search").value = "";
    this.list(card);
    byId("chooser-search").oninput = () => this.list(card);
    byId("chooser").querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      byId("chooser").close();
      this.take(position, event.submitter.value);
    };
    byId("chooser").showModal();
    byId("chooser-search").focus();
  },

  list(card) {
    const typed = byId("chooser-search").value.trim(), wanted = typed.toLowerCase();
    const names = new Set([card.suggested, ...card.second ? [card.second] : [], ...DATA.classes, ...Decisions.labels]);
    const lines = [...names].filter((name) => name.toLowerCase().includes(wanted))
      .map((name) => this.line(`label:${name}`, shown(name)));
    if (typed && !names.has(typed) && !NO_LABEL.includes(typed)) lines.push(this.line(`label:${typed}`, `new class: ${shown(typed)}`));
    if (!wanted) lines.push(this.line("none", "no class: remove the label", "plain"));
    byId("chooser-list").replaceChildren(...lines);
  },

  line(value, text, className = "") {
    const made = element("button", className, text);
    made.value = value;
    return element("li", "", made);
  },

  take(position, chosen) {
    if (chosen === "none") ACTIONS.remove(position);
    else if (chosen.startsWith("label:")) {
      const label = chosen.slice("label:".length);
      decide(position, ruleFor(position, label), label);
    } else View.focus(View.current);
  },
};
