// How far the review is: what is decided, what is probably still wrong, and what comes next.

const TILES_NAMED = 3;

const Progress = {
  show(said = "") {
    const { count } = Decisions, bar = byId("bar");
    bar.style.width = `${(100 * count) / Math.max(1, CARDS.length)}%`;
    bar.parentNode.setAttribute("aria-valuemax", CARDS.length);
    bar.parentNode.setAttribute("aria-valuenow", count);
    const warning = Decisions.kept ? "" : ` ${Decisions.warning}`;
    const others = Decisions.others.size ? `, and ${Decisions.others.size} on tiles without a card` : "";
    const differ = Decisions.disputes.size ? `, ${Decisions.disputes.size} in disagreement` : "";
    byId("status").textContent = `${count} of ${CARDS.length} decided${differ}${others}. ${said}${warning}`;
    byId("left").textContent = this.left();
    byId("undo").disabled = !History.acts.length;
    if (CARDS.length && count === CARDS.length) byId("next").hidden = false;
    Bulk.show();
  },

  // What a screen reader says after an act.
  say(text) {
    byId("said").textContent = text;
  },

  // The labels that are probably wrong among those that nobody decided on: the audit's number, less
  // the probabilities of those that were decided on since. The interval moves along.
  left() {
    if (!DATA.left) return "";
    let decided = 0, expected = 0, changed = 0;
    for (const [position, { decision, label }] of Decisions.of) {
      if (decision === "skip") continue;
      decided += 1;
      expected += CARDS[position].wrong ?? 0;
      changed += label !== CARDS[position].given;
    }
    const undecided = DATA.left.undecided - decided;
    const ends = (DATA.left.interval ?? []).map((end) => Math.round(Math.min(undecided, Math.max(0, end - expected))));
    const interval = ends.length ? `95% interval ${ends.map((end) => end.toLocaleString("en")).join(" to ")}` : DATA.left.about;
    const number = DATA.left.expected === null
      ? "a number that cannot be determined" : Math.round(Math.max(0, DATA.left.expected - expected)).toLocaleString("en");
    const found = decided ? ` You changed ${changed.toLocaleString("en")} of ${counted(decided, "label")}.` : "";
    return `Probably wrong among the ${undecided.toLocaleString("en")} labels that nobody decided on: `
      + `${number} (${interval}).${found}`;
  },

  copyCommand() {
    const text = byId("command").textContent;
    const done = () => { byId("copy").textContent = "Copied"; };
    const select = () => getSelection().selectAllChildren(byId("command"));
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, select);
    else select();  // some browsers give pages from disk no clipboard
  },
};

function save() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([Decisions.csv()], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  byId("next").hidden = false;
  Progress.show("Saved as decisions.csv.");
  Progress.say("Saved as decisions.csv. The next step is shown above the cards.");
}

async function load(file) {
  if (!file) return;
  try {
    const { text, guessed } = decoded(new Uint8Array(await file.arrayBuffer()));
    let found;
    History.act(`the decisions of ${file.name}`, CARDS.map((_, position) => position), () => {
      found = Decisions.readCsv(text, file.name);
    }, true);
    if (found.differing) byId("state").value = "disputed";
    Filters.apply();
    const encoding = guessed && ` It is not UTF-8 and was read as ${guessed}: check the labels.`;
    Progress.show(`${found.taken} decisions read from ${file.name}.${encoding}${leftOutText(found)}${differingText(found)}`);
  } catch (error) {
    Progress.show(`${file.name} cannot be read: ${error.message}.`);
  }
  Progress.say(byId("status").textContent);
}

function leftOutText({ open, wrong }) {
  const undecided = open ? ` Rows that nobody decided on are left out: ${open.toLocaleString("en")}.` : "";
  return undecided + (wrong.length ? ` ${contradicting(wrong, "left out")}` : "");
}

// Names tiles whose decisions contradict themselves.
function contradicting(tiles, done) {
  const named = tiles.slice(0, TILES_NAMED).map(shown).join(", ");
  const more = tiles.length - TILES_NAMED;
  return `Decisions that contradict themselves are ${done}: ${named}${more > 0 ? ` and ${more.toLocaleString("en")} more` : ""}.`;
}

function differingText({ differing, differingOthers }) {
  const own = differing
    ? ` ${counted(differing, "decision")} differ from those of somebody else; decide on these tiles again.` : "";
  const others = differingOthers
    ? ` ${counted(differingOthers, "decision")} on tiles without a card differ; none of them is saved.` : "";
  return own + others;
}
