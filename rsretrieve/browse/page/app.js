// What the page does: it asks the program, and shows the answers.

import { BaseMap, mercator } from "./base_map.js";
import { hitCard, proposalCard } from "./cards.js";
import { PointMap } from "./map.js";
import { get, numbers, post, postFile } from "./requests.js";

const at = (id) => document.getElementById(id);
const STEP = 60; // cards that are added at once
const state = {
  facts: null, shown: [], visible: 0, kind: "hits", answers: {}, kindAnswers: {},
};

function say(text, isError = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", isError);
}

// Runs what the user asked for; an error becomes a sentence, and a slow search a notice.
async function doing(text, work) {
  say(text);
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  }
}

function wanted() {
  const label = at("label").value;
  return { k: Number(at("hits").value) || STEP, labels: label ? [label] : [] };
}

function rowsAnswered(answer) {
  return Object.keys(state.answers).filter((row) => state.answers[row] === answer).map(Number);
}

const does = {
  enlarged(tile) {
    at("large-picture").src = `picture/${tile.row}/768`;
    at("large-picture").alt = tile.tile;
    at("large-text").textContent = tile.tile;
    at("large").showModal();
  },
  similar: (tile) => searchLike([tile.row], [], `Like ${tile.tile}`),
  answer(tile, given) {
    const answer = state.answers[tile.row] === given ? "" : given;
    return doing("", async () => {
      await post("answers", { [tile.row]: answer });
      if (answer) state.answers[tile.row] = answer;
      else delete state.answers[tile.row];
      replaceCard(tile.row);
      showAnswers();
    });
  },
  answerKind(tile, given) {
    if (state.kindAnswers[tile.row] === given) delete state.kindAnswers[tile.row];
    else state.kindAnswers[tile.row] = given;
    replaceCard(tile.row);
    const open = state.shown.filter((one) => !state.kindAnswers[one.row]).length;
    say(open ? `${open} tiles have no answer yet` : "");
    if (!open) at("next").focus();
  },
};

const CARDS = {
  hits: (tile) => hitCard(tile, state.answers[tile.row], does),
  proposals: (tile) => proposalCard(tile, state.kindAnswers[tile.row], does),
};

function cardOf(tile) {
  const card = CARDS[state.kind](tile);
  card.dataset.row = tile.row;
  return card;
}

function replaceCard(row) {
  const old = at("cards").querySelector(`[data-row="${row}"]`);
  const tile = state.shown.find((one) => one.row === Number(row));
  if (!old || !tile) return;
  const focused = [...old.querySelectorAll("button")].indexOf(document.activeElement);
  const made = cardOf(tile);
  old.replaceWith(made);
  if (focused >= 0) made.querySelectorAll("button")[focused].focus();
}

function show(tiles, heading, kind = "hits") {
  Object.assign(state, { shown: tiles, visible: 0, kind });
  at("finding").hidden = kind !== "proposals";
  at("what").textContent = heading;
  at("cards").replaceChildren();
  showMore();
  if (matchMedia("(max-width: 56rem)").matches) at("what").scrollIntoView();
  map.mark(tiles.slice(0, 200).map((tile) => tile.row));
}

function showMore() {
  const next = state.shown.slice(state.visible, state.visible + STEP);
  at("cards").append(...next.map(cardOf));
  state.visible += next.length;
  at("more").hidden = state.visible >= state.shown.length;
  at("more").textContent = `Show more (${state.shown.length - state.visible} left)`;
}

function showAnswers() {
  const [yes, no] = [rowsAnswered("yes").length, rowsAnswered("no").length];
  const kept = yes + no ? `, kept in ${state.facts.answers_file}` : "";
  at("answered").textContent = `${yes} yes, ${no} no${kept}`;
  at("again").disabled = !yes;
  at("find").disabled = !yes && !state.facts.find_goes_on;
  at("find").textContent = state.facts.find_goes_on && !yes
    ? "Go on finding all of a kind" : "Find all of this kind";
  at("forget").disabled = !(yes + no);
}

function searchLike(likes, unlikes, heading) {
  return doing("searching…", async () => {
    const started = performance.now();
    const found = await post("search", { ...wanted(), likes, unlikes });
    show(found, heading);
    say(`${found.length} tiles in ${Math.round(performance.now() - started)} ms`);
  });
}

function interval(name, [value, low, high], digits) {
  return `${name} ${value.toFixed(digits)} (95 % interval ${low.toFixed(digits)} to ${high.toFixed(digits)})`;
}

// The state of a search for a kind: what is known, and the tiles to look at next.
function showFinding(found) {
  const parts = [`${found.found} tiles found, ${found.confirmed} of them confirmed`];
  if (found.count) {
    parts.push(interval("in the whole index", found.count, 0));
    parts.push(interval("precision", found.precision, 2), interval("recall", found.recall, 2));
    parts.push(found.enough ? "you can stop" : "go on");
  } else parts.push(`after 10 answers: how many there are (${found.answers} so far)`);
  state.kindAnswers = {};
  show(found.proposals, "Are these of the kind?", "proposals");
  at("estimate").textContent = `${parts.join("; ")}.`;
  at("find-command").textContent =
    `rsretrieve find INDEX --session ${found.file} --output found.csv`;
  say(found.notices.join(" "));
}

function find(name, content) {
  return doing("ranking all tiles…", async () => showFinding(await post(name, content)));
}

function searchPlace(text) {
  const point = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (point.length !== 2 || point.some(Number.isNaN)) {
    say("A place is longitude and latitude in degrees, such as 11.35, 47.27", true);
    return null;
  }
  return doing("searching…", async () => {
    const found = await post("search", { ...wanted(), point });
    show(found, `Like the tile at ${point.join(", ")}`);
    say(`${found.length} tiles`);
  });
}

function searchFile(file) {
  return doing(`embedding ${file.name}…`, async () => {
    const found = await postFile(file, wanted());
    show(found, `Like ${file.name}`);
    say(`${found.length} tiles`);
  });
}

const map = new PointMap(at("map"), {
  clicked: (row) => searchLike([row], [], "Like the tile that was clicked"),
  selected: (rows) => doing("", async () => {
    const some = rows.slice(0, 10000);
    show(await post("tiles", { rows: some }), `${rows.length} tiles of the selection`);
    say(rows.length > some.length ? `${some.length} of ${rows.length} tiles are shown` : "");
  }),
});

function showMap(name, points, columns) {
  const column = (wantedName) => {
    const place = columns.indexOf(wantedName);
    return Float32Array.from({ length: points.length / columns.length },
      (_, row) => points[row * columns.length + place]);
  };
  const groups = column("label");
  if (name === "earth" && state.base) {
    map.show(column("longitude"), column("latitude").map(mercator), groups, 1, state.base);
  } else if (name === "earth") {
    const latitude = column("latitude");
    const known = latitude.filter((value) => !Number.isNaN(value));
    const middle = known.reduce((sum, value) => sum + value, 0) / (known.length || 1);
    map.show(column("longitude"), latitude, groups, Math.max(0.1, Math.cos((middle * Math.PI) / 180)));
  } else {
    map.show(column("x"), column("y"), groups);
  }
  const { base_map: base, map_note: note } = state.facts;
  const from = base?.origin ? ` The base map comes from ${base.origin}: requests leave this machine.` : "";
  at("map-hint").textContent = name === "earth"
    ? `Each point is the centre of a tile; colours are labels.${from}`
    : `Near points have similar embeddings (${note}); colours are labels.`;
}

async function start() {
  const facts = await get("facts");
  const points = await numbers("points");
  const base = facts.base_map && new BaseMap(facts.base_map, () => map.draw());
  Object.assign(state, { facts, base, answers: facts.answers });
  at("title").textContent = facts.index;
  document.title = `${facts.index}: rsretrieve`;
  at("count").textContent = `${facts.tiles.toLocaleString("en")} tiles, ${facts.placed.toLocaleString("en")} with a place`;
  for (const label of facts.labels) at("label").append(new Option(label, label));
  at("review").hidden = !facts.to_review;
  at("review").textContent = `Review ${facts.to_review.toLocaleString("en")} ${facts.to_review === 1 ? "label" : "labels"}`;
  const choices = [...document.querySelectorAll("input[name=map]")];
  for (const choice of choices) {
    choice.disabled = choice.value === "earth" && !facts.placed;
    choice.addEventListener("change", () => showMap(choice.value, points, facts.columns));
  }
  const first = base && facts.placed ? "earth" : "plane";
  choices.find(({ value }) => value === first).checked = true;
  showMap(first, points, facts.columns);
  showAnswers();
  say("");
  const [, row] = location.hash.match(/^#like=(\d{1,9})$/) || [];  // from the review
  if (row && Number(row) < facts.tiles) {
    const [tile] = await post("tiles", { rows: [Number(row)] });
    await does.similar(tile);
  }
}

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  searchPlace(at("place").value);
});
at("file").addEventListener("change", (event) => {
  if (event.target.files.length) searchFile(event.target.files[0]);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) searchFile(event.dataTransfer.files[0]);
  });
}
for (const choice of document.querySelectorAll("input[name=drag]")) {
  choice.addEventListener("change", () => { map.selects = choice.value === "select"; });
}
at("reset").addEventListener("click", () => map.fit(true));
at("more").addEventListener("click", showMore);
at("again").addEventListener("click",
  () => searchLike(rowsAnswered("yes"), rowsAnswered("no"), "Like your answers"));
at("find").addEventListener("click", () => find("find",
  { likes: rowsAnswered("yes"), unlikes: rowsAnswered("no") }));
at("next").addEventListener("click", () => find("find-answers", state.kindAnswers));
at("found").addEventListener("click", () => doing("", async () => {
  const found = await get("found");
  const sentence = at("estimate").textContent;
  show(found, `${found.length} found tiles, the likeliest first`, "proposals");
  at("estimate").textContent = sentence;
}));
at("forget").addEventListener("click", () => doing("", async () => {
  await post("answers", Object.fromEntries(Object.keys(state.answers).map((row) => [row, ""])));
  state.answers = {};
  show(state.shown, at("what").textContent, state.kind);
  showAnswers();
}));
doing("opening the index…", start);
