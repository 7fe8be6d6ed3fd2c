// Cards of tiles: a picture, what is known of it, and what a person can say of it.

function element(name, content = {}, ...children) {
  const made = Object.assign(document.createElement(name), content);
  made.append(...children);
  return made;
}

// Pictures are asked for four at a time. A browser sends at most six requests at once, so that a
// search would wait behind all pictures of the page.
const AT_ONCE = 4;
const waiting = [];
let loading = 0;

function loadNext() {
  while (loading < AT_ONCE && waiting.length) {
    const image = waiting.shift();
    if (!image.isConnected) continue; // its card was replaced
    loading += 1;
    image.src = image.dataset.source;
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    waiting.push(target);
  }
  loadNext();
}, { rootMargin: "200px" });

function picture(tile, { enlarged }) {
  const image = element("img", { alt: tile.tile });
  image.dataset.source = `picture/${tile.row}/192`;
  const done = () => {
    loading -= 1;
    loadNext();
  };
  image.addEventListener("load", done);
  image.addEventListener("error", () => {
    image.replaceWith(element("p", { textContent: "This tile cannot be read." }));
    done();
  });
  seen.observe(image);
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

// A proposal of the search for a kind: is it of the kind?
export function proposalCard(tile, answer, does) {
  const button = (text, given, title) =>
    act(text, title, answer === given, () => does.answerKind(tile, given));
  const probability = tile.confirmed ? "confirmed" : `${Math.round(100 * tile.probability)} % likely`;
  const card = element("div", { className: `card ${answer || ""}` },
    picture(tile, does),
    element("p", { textContent: probability }),
    element("p", { className: "soft", textContent: tile.tile }),
    element("div", { className: "acts" },
      button("Yes", "yes", "It is of the kind (key y)"),
      button("No", "no", "It is something else (key n)"),
      button("?", "unsure", "I cannot tell (key u)")));
  card.addEventListener("keydown", (event) => {
    const given = { y: "yes", n: "no", u: "unsure" }[event.key];
    if (given) does.answerKind(tile, given);
  });
  return card;
}
