// Cards of tiles: a picture, what is known of it, and what a person can say of it.

function element(name, content = {}, ...children) {
  const made = Object.assign(document.createElement(name), content);
  made.append(...children);
  return made;
}

function picture(tile, { enlarged }) {
  const image = element("img", { src: `picture/${tile.row}/192`, alt: tile.tile, loading: "lazy" });
  image.addEventListener("error", () => {
    image.replaceWith(element("p", { textContent: "This tile cannot be read." }));
  });
  const button = element("button", { type: "button", className: "picture", title: "Enlarge" }, image);
  button.addEventListener("click", () => enlarged(tile));
  return button;
}

function act(text, title, pressed, work) {
  const button = element("button", { type: "button", textContent: text, title });
  if (pressed !== null) button.setAttribute("aria-pressed", String(pressed));
  button.addEventListener("click", work);
  return button;
}

// A hit: find similar tiles, or answer yes or no.
export function hitCard(tile, answer, does) {
  const label = tile.label === null ? "no label" : tile.label;
  const similarity = tile.similarity === undefined ? "" : `, ${tile.similarity.toFixed(3)}`;
  const acts = element("div", { className: "acts" },
    act("Similar", `Find tiles like ${tile.tile}`, null, () => does.similar(tile)),
    act("Yes", "This is what I look for (key y)", answer === "yes", () => does.answer(tile, "yes")),
    act("No", "This is something else (key n)", answer === "no", () => does.answer(tile, "no")));
  const card = element("div", { className: `card ${answer || ""}` },
    picture(tile, does),
    element("p", {}, element("strong", { textContent: label }), similarity),
    element("p", { className: "soft", textContent: tile.tile }),
    acts);
  card.addEventListener("keydown", (event) => {
    const given = { y: "yes", n: "no" }[event.key];
    if (given) does.answer(tile, given);
  });
  return card;
}

// An issue of the audit: which label is right?
export function issueCard(issue, decided, does) {
  const percent = `${Math.round(100 * issue.probability)} % wrong`;
  const acts = element("div", { className: "acts" },
    act(`Keep ${issue.label}`, "The label is right", decided === issue.label,
      () => does.decide(issue, issue.label)),
    act(`Set ${issue.proposed}`, "The proposed label is right", decided === issue.proposed,
      () => does.decide(issue, issue.proposed)),
    act("Similar", `Find tiles like ${issue.tile}`, null, () => does.similar(issue)));
  const state = decided === undefined ? "" : decided === issue.label ? "no" : "yes";
  return element("div", { className: `card ${state}` },
    picture(issue, does),
    element("p", {}, element("strong", { textContent: `${issue.label} → ${issue.proposed}` })),
    element("p", { textContent: percent }),
    element("p", { className: "soft", textContent: issue.tile }),
    acts);
}
