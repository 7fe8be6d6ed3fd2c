"use strict";
// The data of the page, as the audit wrote it. Everything here is read, nothing is changed.

const DATA = JSON.parse(document.getElementById("data").textContent);
const CARDS = DATA.cards;
const POSITION = new Map(CARDS.map((card, position) => [card.tile, position]));
const KEY = `rsretrieve-audit-${DATA.id}`;
const KEY_OF_OTHERS = `${KEY}-others`;
const KEY_OF_DISPUTES = `${KEY}-disputes`;
// The labels that the page was made from: the program refuses to apply the decisions to others.
const ORIGIN = [DATA.labelsFile || "", DATA.labelsDigest || ""];
const RULES = ["accept", "reject", "choose", "remove", "skip"];
const NOT_MADE = ["undecided", "suggestion"];  // nobody decided: the program wrote the row
const NO_LABEL = ["nan", "NaN", "NAN", "<NA>", "NaT", "None", "null", "NULL"];  // as the program reads
const OFF_TOPIC = "off_topic";

function ruleFor(position, label) {
  const card = CARDS[position];
  if (label === "") return "remove";
  if (label === card.given) return "reject";
  return label === card.suggested ? "accept" : "choose";
}
