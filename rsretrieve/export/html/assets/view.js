// What is on the screen: the list of cards, or a screen of the grid.
//
// The list has a block for every thirty cards. Only blocks near the screen hold cards; the others
// are as high as they were, or as blocks are on average. So 20,000 cards scroll like a hundred.

const SCREEN = 30;
const NEAR_PX = 1500;

const View = {
  positions: [],  // of the cards that the filters let through, in order
  current: 0,  // index into positions
  isGrid: false,
  blocks: [],
  height: 0,  // of a block that was never filled
  observer: null,

  get box() { return byId("cards"); },
  get position() { return this.positions[this.current]; },
  get screen() { return Math.floor(this.current / SCREEN); },
  get screens() { return Math.ceil(this.positions.length / SCREEN); },

  show(positions) {
    this.positions = positions;
    this.current = 0;
    this.draw();
  },

  draw() {
    this.observer?.disconnect();
    this.box.classList.toggle("grid", this.isGrid);
    byId("pager").hidden = !this.isGrid;
    if (this.isGrid) this.drawScreen();
    else this.drawBlocks();
    byId("nothing").hidden = this.positions.length > 0;
  },

  drawScreen() {
    const block = this.newBlock(this.screen);
    this.blocks = [];
    this.blocks[this.screen] = block;
    this.box.replaceChildren(block);
    this.fill(block);
    byId("screen").textContent = `Screen ${this.screens ? this.screen + 1 : 0} of ${this.screens}`;
    byId("previous-screen").disabled = this.screen === 0;
    byId("next-screen").disabled = this.screen + 1 >= this.screens;
  },

  drawBlocks() {
    this.blocks = Array.from({ length: this.screens }, (_, number) => this.newBlock(number));
    this.box.replaceChildren(...this.blocks);
    if (!this.blocks.length) return;
    const first = this.blocks[this.screen];
    this.fill(first);
    this.height = first.offsetHeight / first.children.length * SCREEN;
    for (const block of this.blocks) if (block !== first) block.style.height = `${this.heightOf(block)}px`;
    this.observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) this.fill(target);
        else this.empty(target);
      }
    }, { rootMargin: `${NEAR_PX}px` });
    for (const block of this.blocks) this.observer.observe(block);
  },

  newBlock(number) {
    const block = element("div", "block");
    block.dataset.number = number;
    return block;
  },

  heightOf(block) {
    const first = Number(block.dataset.number) * SCREEN;
    return this.height * Math.min(SCREEN, this.positions.length - first) / SCREEN;
  },

  fill(block) {
    if (block.firstChild) return;
    const first = Number(block.dataset.number) * SCREEN;
    const last = Math.min(first + SCREEN, this.positions.length);
    const make = this.isGrid ? cellOf : cardOf;
    for (let index = first; index < last; index += 1) block.append(make(index));
    block.style.height = "";
  },

  empty(block) {
    if (!block.firstChild || block.contains(document.activeElement)) return;
    block.style.height = `${block.offsetHeight}px`;
    block.replaceChildren();
  },

  // The element of a card, if it is made.
  made(index) {
    return this.blocks[Math.floor(index / SCREEN)]?.children[index % SCREEN];
  },

  setCurrent(index) {
    const before = this.made(this.current);
    if (before) markCurrent(before, false);
    this.current = index;
    const now = this.made(index);
    if (now) markCurrent(now, true);
  },

  focus(index, { scrolls = true } = {}) {
    if (!this.positions.length) return;
    const wanted = Math.max(0, Math.min(index, this.positions.length - 1));
    const isOther = this.isGrid && Math.floor(wanted / SCREEN) !== this.screen;
    this.setCurrent(wanted);
    if (isOther) this.drawScreen();
    this.fill(this.blocks[this.screen]);
    const article = this.made(wanted);
    markCurrent(article, true);
    article.focus({ preventScroll: true });
    if (scrolls) article.scrollIntoView({ block: "nearest" });
    Enlarger.show();
  },

  // Show the decisions again: of one card, or of all that are made.
  refresh(position) {
    const articles = position === undefined
      ? this.box.querySelectorAll("article")
      : this.box.querySelectorAll(`article[data-position="${position}"]`);
    articles.forEach(showDecision);
  },

  setGrid(isGrid) {
    this.isGrid = isGrid;
    byId("as-grid").setAttribute("aria-pressed", isGrid);
    byId("as-cards").setAttribute("aria-pressed", !isGrid);
    document.body.classList.toggle("is-grid", isGrid);
    if (!isGrid) Marks.setOn(false);
    const { current } = this;
    this.draw();
    this.focus(current, { scrolls: !isGrid });
    if (isGrid) byId("acts").scrollIntoView({ block: "start" });
    Bulk.show();
  },
};
