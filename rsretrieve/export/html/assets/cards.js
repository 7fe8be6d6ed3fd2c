// The cards. They are created when they scroll into view. All text is set as text, never as markup.

const KIND_NAMES = new Map(DATA.kinds.map(({ kind, name }) => [kind, name]));
const DECISION_TEXTS = {
  accept: ({ label }) => `Accepted: ${shown(label)}`,
  reject: ({ label }) => `Kept: ${shown(label)}`,
  choose: ({ label }) => `Chosen: ${shown(label)}`,
  remove: () => "No class: the label is removed",
  skip: () => "Skipped",
};

// Control characters and directional overrides could make a name look like another one.
function shown(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function picture(index, reason, name, className) {
  if (index < 0) return element("div", `${className} missing`, reason || "no picture");
  const image = element("img", className);
  image.src = DATA.pictures[index];
  image.alt = image.title = shown(name);
  image.loading = "lazy";
  image.decoding = "async";
  return image;
}

function labelsOf(card) {
  const line = element("p", "labels");
  if (card.suggested === card.given) line.append(element("span", "", shown(card.given)));
  else {
    line.append(element("span", "given", shown(card.given)), " → ",
      element("b", "", shown(card.suggested)));
  }
  return line;
}

function actionsOf(position) {
  const card = DATA.cards[position];
  const actions = [
    ["accept", "A", card.suggested === card.given ? "Accept" : `Accept ${shown(card.suggested)}`],
    ["reject", "R", `Keep ${shown(card.given)}`],
    ["choose", "C", "Other…"],
    ["skip", "S", "Skip"],
  ];
  return element("div", "actions", ...actions.map(([action, key, text]) => {
    const button = element("button", "", `${text} `, element("kbd", "", key));
    button.type = "button";
    button.dataset.action = action;
    return button;
  }));
}

function strip(title, tiles) {
  if (!tiles.length) return [];
  const pictures = tiles.map(({ tile, picture: index }) => picture(index, tile, tile, ""));
  return [element("h3", "", title), element("div", "strip", ...pictures)];
}

function comparisonOf(card) {
  const made = element("div", "compare", ...strip(`Nearest labelled ${shown(card.given)}`, card.own));
  if (card.suggested !== card.given) {
    made.append(...strip(`Nearest labelled ${shown(card.suggested)}`, card.others));
  }
  if (card.twin) {
    made.append(...strip(`Near-duplicate labelled ${shown(card.twin.label)}`, [card.twin]));
  }
  return made;
}

function cardOf(position) {
  const card = DATA.cards[position];
  const article = element("article", "");
  article.tabIndex = -1;
  article.dataset.position = position;
  article.setAttribute("aria-label", `${shown(card.tile)}, labelled ${shown(card.given)}`);
  article.append(
    picture(card.picture, card.reason, card.tile, "picture"),
    element("div", "", labelsOf(card),
      element("p", "", element("span", "badge", KIND_NAMES.get(card.kind) || "wrong label")),
      element("p", "why", shown(card.why)),
      element("p", "tile", `${shown(card.tile)} · score ${card.score}`),
      actionsOf(position), element("p", "decision")),
    comparisonOf(card),
  );
  showDecision(article);
  return article;
}

function showDecision(article) {
  const decided = Decisions.of.get(Number(article.dataset.position));
  article.classList.remove(...RULES);
  if (decided) article.classList.add(decided.decision);
  article.querySelector(".decision").textContent = decided ? DECISION_TEXTS[decided.decision](decided) : "";
}

// The visible cards: their positions in DATA.cards, in order. The first `made` have an element.
const View = {
  positions: [],
  made: 0,
  current: -1,  // index into positions
  STEP: 30,

  show(positions) {
    this.positions = positions;
    this.made = 0;
    this.current = -1;
    document.getElementById("cards").replaceChildren();
    this.grow();
  },

  grow() {
    const next = this.positions.slice(this.made, this.made + this.STEP);
    document.getElementById("cards").append(...next.map(cardOf));
    this.made += next.length;
  },

  at(index) {
    while (index >= this.made && this.made < this.positions.length) this.grow();
    return document.getElementById("cards").children[index];
  },

  focus(index) {
    const article = this.at(Math.max(0, Math.min(index, this.positions.length - 1)));
    if (!article) return;
    this.current = Number([...article.parentNode.children].indexOf(article));
    article.focus({ preventScroll: true });
    article.scrollIntoView({ block: "nearest" });
  },

  currentPosition() {
    return this.current < 0 ? undefined : this.positions[this.current];
  },
};
