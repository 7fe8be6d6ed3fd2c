// The review inside `rsretrieve browse`: pictures come from the program when they are shown, and
// decisions go to a file of it at once. All else is the page that `audit-labels --page` writes.

const RETRY_MS = 2000, AT_ONCE = 60, MOST_AHEAD = 600;

Object.assign(Pictures, {
  uri(index) {
    const addresses = DATA.pictureAddresses;
    return addresses[index % addresses.length].replace("{row}", Math.floor(index / addresses.length));
  },

  announced: new Set(),  // the pictures of new cards; the program makes them together

  // What is not near the screen is not asked for. A tile that cannot be read is never accepted unseen.
  prepare(image, index) {
    if (!image.classList.contains("full")) image.loading = "lazy";
    if (!this.announced.size) setTimeout(() => this.announce());
    this.announced.add(index);
    image.onerror = () => {
      for (const card of CARDS.filter((each) => each.picture === index)) {
        Object.assign(card, { picture: -1, reason: "This tile cannot be read." });
      }
      image.replaceWith(element("div", `${image.className} missing`, "This tile cannot be read."));
      Bulk.show();
    };
  },

  announce() {
    const pictures = [...this.announced].slice(0, MOST_AHEAD);
    this.announced = new Set();
    sent("prepare", { pictures }).catch(() => {});  // they are made when they are asked for
  },
});

// The nearest tiles of each label are searched when a card is shown, those of a screen at once.
Object.assign(Comparisons, {
  waiting: new Map(),  // card -> the elements that show its tiles

  fill(made, card) {
    if (card.isCompared) {
      made.replaceChildren(...this.strips(card));
      return;
    }
    made.classList.add("waits");
    if (!this.waiting.size) setTimeout(() => this.ask());
    if (!this.waiting.has(card)) this.waiting.set(card, []);
    this.waiting.get(card).push(made);
  },

  async ask() {
    const all = [...this.waiting];
    this.waiting = new Map();
    for (let start = 0; start < all.length; start += AT_ONCE) {
      const part = all.slice(start, start + AT_ONCE);
      const positions = part.map(([{ tile }]) => POSITION.get(tile));
      let found;
      try {
        ({ found } = await sent("compared", { positions }));
      } catch { return; }  // the next card asks again
      part.forEach(([card, elements], number) => {
        for (const strip of ["own", "others", "third"]) {
          card[strip] = found[number][strip].map((tile) => DATA.compared.push(tile) - 1);
        }
        card.isCompared = true;
        for (const made of elements) {
          made.classList.remove("waits");
          this.fill(made, card);
        }
      });
    }
  },
});

// The decisions that differ from those that the program has are sent, one request after the other.
Object.assign(Decisions, {
  warning: "",
  isSending: false,
  atProgram: new Map(),  // position -> decision, as `of`
  othersAtProgram: new Map(),  // tile -> row, as `others`
  takenBack: new Set(),  // tiles without a card whose decision was undone

  restore() {
    for (const [position, decision, label, by, at] of DATA.kept) {
      if (!NOT_MADE.includes(decision)) this.put(position, asDecided(position, { decision, label, by, at }));
    }
    this.others = earlier();
    this.atProgram = new Map(this.of);
    this.othersAtProgram = new Map(this.others);
    addEventListener("beforeunload", (event) => {
      if (!this.kept) event.preventDefault();
    });
    addEventListener("pagehide", () => {
      const { cards, others, count } = this.unsent();
      if (count) sent("decided", { cards, others }).catch(() => {});
    });
  },

  // A tile in disagreement keeps its decision in the file until it is decided again.
  unsent() {
    const cards = {}, others = Object.create(null);  // a tile may be called __proto__
    for (const position of new Set([...this.of.keys(), ...this.atProgram.keys()])) {
      const decided = this.of.get(position);
      if (decided === this.atProgram.get(position) || this.disputes.has(position)) continue;
      cards[position] = decided ? [decided.decision, decided.label, decided.by, decided.at] : null;
    }
    for (const [tile, row] of this.others) {
      if (row === this.othersAtProgram.get(tile)) continue;
      const [, label, decision, given, suggested, kind, by, at] = row;
      const rule = RULES.includes(decision) ? decision : label ? "choose" : "remove";
      others[tile] = [label, rule, given, suggested, kind, by, at];
    }
    for (const tile of this.takenBack) if (!this.others.has(tile)) others[tile] = null;
    return { cards, others, count: Object.keys(cards).length + Object.keys(others).length };
  },

  replaceOthers(others) {
    for (const tile of this.others.keys()) if (!others.has(tile)) this.takenBack.add(tile);
    this.others = others;
  },

  keep() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write());
  },

  async write() {
    const { cards, others, count } = this.unsent();
    if (!count || this.isSending) return;
    this.isSending = true;
    const [sentCards, sentOthers] = [new Map(this.of), new Map(this.others)];
    try {
      const { refused } = await sent("decided", { cards, others });
      const notKept = new Set(refused);
      for (const position of Object.keys(cards).map(Number)) {
        if (notKept.has(CARDS[position].tile)) continue;
        if (sentCards.has(position)) this.atProgram.set(position, sentCards.get(position));
        else this.atProgram.delete(position);
      }
      for (const [tile, row] of Object.entries(others)) if (!row) this.takenBack.delete(tile);
      for (const tile of refused) this.takeBack(tile, sentCards, sentOthers);
      this.othersAtProgram = sentOthers;
      this.tell(true, "");
      if (refused.length) this.tellRefused(refused);
    } catch (error) {
      this.tell(false, `Not kept: ${error.message}. It is tried again.`);
      setTimeout(() => this.write(), RETRY_MS);
    }
    this.isSending = false;
    if (this.kept) this.write();  // what was decided meanwhile
  },

  // A decision that the program refuses becomes again what the program has. What was decided
  // meanwhile stays, and is sent next.
  takeBack(tile, sentCards, sentOthers) {
    const position = POSITION.get(tile);
    const [here, key, wasSent, had] = position === undefined
      ? [this.others, tile, sentOthers, this.othersAtProgram]
      : [this.of, position, sentCards, this.atProgram];
    if (here.get(key) === wasSent.get(key)) replaced(here, key, had.get(key));
    replaced(wasSent, key, had.get(key));
  },

  tellRefused(tiles) {
    View.refresh();
    Progress.show(contradicting(tiles, "not kept"));
    Progress.say(byId("status").textContent);
  },

  tell(kept, warning) {
    const isNew = kept !== this.kept || warning !== this.warning;
    Object.assign(this, { kept, warning });
    if (isNew) this.onLost();
    if (isNew && warning) Progress.say(warning);
  },
});

function replaced(map, key, value) {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

async function sent(name, content) {
  const body = JSON.stringify(content);
  // What is small enough is sent even if the page is left meanwhile.
  const response = await fetch(name, { method: "POST", body, keepalive: body.length < 20000 });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `the program answered ${response.status}`);
  return answer;
}

MORE_ACTS.push(["similar", "F", "Similar tiles", null]);
KEYS.f = "similar";
ACTIONS.similar = (position) => {
  history.replaceState(null, "", `#card=${position}`);  // whoever comes back is where they were
  location.href = `./#like=${rowOf(position)}`;
};

// The row of the index; every picture number says it.
function rowOf(position) {
  const { full } = CARDS[position];
  return Math.floor(full / DATA.pictureAddresses.length);
}

// What the file says of saving.
function startServed() {
  const file = () => element("code", "", shown(DATA.decisionsFile));
  const back = element("a", "back", "← Index");
  back.href = "./";
  byId("save").replaceWith(back);
  byId("save-step").replaceChildren("Every decision is kept at once in ", file(), ".");
  byId("helper-kept").replaceChildren("Every decision is kept at once in ", file(), ".");
  byId("next").append(element("p", "", "TILES are the tiles of the audit; give --labels, too, if the audit had it."));
  const row = element("tr", "", element("td", "", element("kbd", "", "F")),
    element("td", "", "find similar tiles in the index"));
  byId("helper").querySelector("table").append(row);
  setTimeout(goOn);
}

// Begin where the review was left, or with the first tile that nobody decided on.
function goOn() {
  const [, left] = location.hash.match(/^#card=(\d{1,6})$/) || [];
  const index = left ? View.positions.indexOf(Number(left)) : -1;
  if (index >= 0) View.focus(index);
  else if (Decisions.of.has(View.position)) toOpen();
}

startServed();
