// The cards of the list: labels, reason, probabilities, buttons, tiles to compare with.

const KIND_NAMES = new Map(DATA.kinds.map(({ kind, name }) => [kind, name]));
const DECISION_TEXTS = {
  accept: ({ label }) => `Accepted: ${shown(label)}`,
  reject: ({ label }) => `Kept: ${shown(label)}`,
  choose: ({ label }) => `Chosen: ${shown(label)}`,
  remove: () => "No class: the label is removed",
  skip: () => "Skipped",
};

function labelsOf(card) {
  const line = element("p", "labels");
  if (card.suggested === card.given) line.append(element("span", "", shown(card.given)));
  else {
    line.append(element("s", "given", shown(card.given)), " → ",
      element("b", "", shown(card.suggested)));
  }
  return line;
}

const MORE_ACTS = [];  // on every card; a file has none

// The acts on a card: name, key, text, probability. The first is the one that is most likely right.
function actsOn(card) {
  const [given, suggested, second] = card.probabilities;
  const isSame = card.suggested === card.given;
  const acts = [
    ["accept", "A", isSame ? "Accept" : `Accept ${shown(card.suggested)}`, suggested],
    ...card.second ? [["second", "B", shown(card.second), second]] : [],
    ["reject", "R", `Keep ${shown(card.given)}`, given],
    ["choose", "C", "Other…", null],
    ["remove", "X", "No class", null],
    ["skip", "S", "Skip", null],
    ...MORE_ACTS,
  ];
  if (card.kind !== OFF_TOPIC) return acts;
  return [acts.find(([act]) => act === "remove"), ...acts.filter(([act]) => act !== "remove")];
}

function actionsOf(position) {
  return element("div", "actions", ...actsOn(CARDS[position]).map(([act, key, text, probability], number) => {
    const made = button(text, number ? "" : "likely");
    if (probability !== null) made.append(" ", element("span", "probability", percent(probability)));
    made.append(" ", element("kbd", "", key));
    made.dataset.action = act;
    return made;
  }));
}

function strip(title, numbers) {
  if (!numbers.length) return [];
  return [element("div", "", element("h3", "", title), element("div", "strip", ...numbers.map(comparedPicture)))];
}

const Comparisons = {
  // Show the tiles to compare with. A file holds them all.
  fill(made, card) {
    made.replaceChildren(...this.strips(card));
  },

  strips(card) {
    const label = card.twin === null ? "" : DATA.compared[card.twin][1] ?? "";
    return [
      ...strip(`Nearest labelled ${shown(card.given)}`, card.own),
      ...card.suggested === card.given ? [] : strip(`Nearest labelled ${shown(card.suggested)}`, card.others),
      ...card.second ? strip(`Nearest labelled ${shown(card.second)}`, card.third) : [],
      ...card.twin === null ? [] : strip(`Near-duplicate labelled ${shown(label)}`, [card.twin]),
    ];
  },
};

function comparisonOf(card) {
  const made = element("div", "compare");
  Comparisons.fill(made, card);
  return made;
}

function zoomOf(card) {
  const made = button("", "zoom");
  made.append(picture(card.picture, card.reason, card.tile, "picture"));
  made.dataset.action = "enlarge";
  made.setAttribute("aria-label", `Enlarge ${shown(card.tile)}`);
  made.tabIndex = -1;  // the key for it is the space bar; every card is one stop less
  return made;
}

// An article is a card of the list or a cell of the grid.
function articleOf(index, className, ...children) {
  const position = View.positions[index], card = CARDS[position];
  const article = element("article", className, ...children);
  article.tabIndex = -1;
  article.dataset.index = index;
  article.dataset.position = position;
  article.setAttribute("aria-posinset", index + 1);
  article.setAttribute("aria-setsize", View.positions.length);
  article.setAttribute("aria-label", spokenName(card));
  if (index === View.current) markCurrent(article, true);
  showDecision(article);
  return article;
}

function spokenName(card) {
  const suggested = card.suggested === card.given ? "" : `, suggested ${shown(card.suggested)}`;
  return `${shown(card.tile)}, labelled ${shown(card.given)}${suggested}`;
}

function cardOf(index) {
  const card = CARDS[View.positions[index]];
  return articleOf(index, "card",
    zoomOf(card),
    element("div", "told", labelsOf(card),
      element("p", "", element("span", "badge", KIND_NAMES.get(card.kind) || "wrong label")),
      element("p", "why", shown(card.why)),
      element("p", "tile", `${shown(card.tile)} · score ${card.score}`),
      element("p", "dispute"),
      actionsOf(View.positions[index]), element("p", "decision")),
    comparisonOf(card),
  );
}

function opinionsText(opinions) {
  return opinions.map(([who, label]) => `${shown(who)}: ${label ? shown(label) : "no class"}`).join(" · ");
}

function decisionText(position) {
  const decided = Decisions.of.get(position);
  return decided ? DECISION_TEXTS[decided.decision](decided) : "";
}

function showDecision(article) {
  const position = Number(article.dataset.position);
  const decided = Decisions.of.get(position), opinions = Decisions.disputes.get(position);
  article.classList.remove(...RULES);
  if (decided) article.classList.add(decided.decision);
  article.classList.toggle("disputed", Boolean(opinions));
  const mark = Marks.of.get(position);
  article.classList.toggle("marked", Boolean(mark));
  article.querySelector(".decision").textContent = View.isGrid ? cellText(position) : decisionText(position);
  const dispute = article.querySelector(".dispute");
  if (dispute) dispute.textContent = opinions ? `Reviewers disagree. ${opinionsText(opinions)}` : "";
}

function markCurrent(article, isCurrent) {
  article.classList.toggle("current", isCurrent);
  article.tabIndex = isCurrent ? 0 : -1;
}
