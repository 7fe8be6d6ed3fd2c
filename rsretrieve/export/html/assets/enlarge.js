// The current tile as large as the window allows, with the scene around it where there is one.
// The keys that decide work here, too, and lead to the next tile.

const Enlarger = {
  index: 0,  // of the card that is shown; the browser gives the focus back to the one before

  get dialog() { return byId("enlarger"); },

  open() {
    if (!View.positions.length) return;
    if (!this.dialog.open) {
      this.dialog.showModal();
      this.dialog.focus();  // not a button, which the space bar would press
    }
    this.show();
  },

  close() {
    if (this.dialog.open) this.dialog.close();
  },

  show() {
    if (!this.dialog.open) return;
    this.index = View.current;
    const { position } = View, card = CARDS[position];
    byId("enlarger-title").textContent = shown(card.tile);
    byId("enlarger-picture").replaceChildren(
      element("figure", "", picture(card.full ?? card.picture, card.reason, card.tile, "full"),
        element("figcaption", "", "the tile")),
      ...this.context(card));
    byId("enlarger-told").replaceChildren(labelsOf(card), element("p", "why", shown(card.why)),
      actionsOf(position), element("p", "decision", decisionText(position)));
    byId("enlarger-compare").replaceChildren(comparisonOf(card));
    byId("enlarger-count").textContent = `${View.current + 1} of ${View.positions.length}`;
  },

  context(card) {
    if (!card.context) return [];
    const frame = element("div", "frame");
    const [left, top, width, height] = card.context.box;
    Object.assign(frame.style, {
      left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%`, height: `${100 * height}%`,
    });
    const around = picture(card.context.picture, "", `${card.tile} and its surroundings`, "full");
    return [element("figure", "", element("div", "framed", around, frame),
      element("figcaption", "", "the scene around it"))];
  },
};
