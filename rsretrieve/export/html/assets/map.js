// Where the shown tiles lie: a map without a base map. Tiles close to each other share a dot, which
// is as large as they are many. A dot shows its tiles, and the map then shows these alone.

const MAP_WIDTH = 720, MAP_HEIGHT = 420, MAP_EDGE = 40, DOTS_ACROSS = 36;

const IssueMap = {
  frames: [],  // of the maps before this one, the widest first

  get isThere() { return CARDS.some((card) => card.place); },

  start() {
    byId("map-part").hidden = !this.isThere;
    byId("map-part").addEventListener("toggle", () => this.draw());
    byId("map-out").onclick = () => this.zoomOut();
    byId("map").addEventListener("keydown", (event) => this.onKey(event));
  },

  // Longitudes are counted from the middle of the widest gap, so that no group is cut at ±180°.
  cut(places) {
    const sorted = places.map(([lon]) => lon).sort((a, b) => a - b);
    let cut = -180, widest = sorted[0] + 360 - sorted.at(-1);
    for (let i = 1; i < sorted.length; i += 1) {
      if (sorted[i] - sorted[i - 1] > widest) {
        widest = sorted[i] - sorted[i - 1];
        cut = sorted[i - 1] + widest / 2;
      }
    }
    return cut;
  },

  draw() {
    if (!byId("map-part").open) return;
    const inside = CARDS.map((card, position) => ({ card, position }))
      .filter(({ card }) => card.place && this.frames.every(({ has }) => has(card)));
    const svg = byId("map");
    byId("map-out").hidden = !this.frames.length;
    if (!inside.length) { svg.replaceChildren(); return; }
    const frame = this.frame(inside.map(({ card }) => card.place));
    const dots = this.dots(inside, frame);
    svg.replaceChildren(...this.axes(frame), ...dots.map((dot, number) => this.dot(dot, number)));
    const placed = CARDS.filter((card) => card.place).length;
    byId("map-told").textContent = `${counted(inside.length, "tile")} in ${counted(dots.length, "place")}. Green: all decided. `
      + (placed < CARDS.length ? `${counted(CARDS.length - placed, "tile")} without a place.` : "");
  },

  frame(places) {
    const cut = this.cut(places);
    const x = (lon) => (lon < cut ? lon + 360 : lon);
    const range = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
    const [west, east] = range(places.map(([lon]) => x(lon)));
    const [south, north] = range(places.map(([, lat]) => lat));
    const shrink = Math.max(0.01, Math.cos((north + south) / 2 * Math.PI / 180));
    const scale = Math.min((MAP_WIDTH - 2 * MAP_EDGE) / Math.max(1e-9, (east - west) * shrink),
      (MAP_HEIGHT - 2 * MAP_EDGE) / Math.max(1e-9, north - south));
    const middle = [(west + east) / 2, (south + north) / 2];
    return {
      west, east, south, north, x,
      place: ([lon, lat]) => [MAP_WIDTH / 2 + (x(lon) - middle[0]) * shrink * scale,
        MAP_HEIGHT / 2 - (lat - middle[1]) * scale],
    };
  },

  dots(inside, frame) {
    const side = MAP_WIDTH / DOTS_ACROSS, found = new Map();
    for (const { card, position } of inside) {
      const [x, y] = frame.place(card.place);
      const key = `${Math.floor(x / side)},${Math.floor(y / side)}`;
      if (!found.has(key)) found.set(key, { cards: [], x: 0, y: 0, open: 0 });
      const dot = found.get(key);
      dot.cards.push(card);
      dot.x += x;
      dot.y += y;
      dot.open += !Decisions.isDone(position);
    }
    return [...found.values()].map((dot) => ({ ...dot, x: dot.x / dot.cards.length, y: dot.y / dot.cards.length }));
  },

  dot({ cards, x, y, open }, number) {
    const radius = cards.length === 1 ? 4 : Math.min(18, 7 + 1.5 * Math.sqrt(cards.length));
    const text = `${counted(cards.length, "tile")}, ${open} undecided`;
    const children = [svgElement("title", {}, text), svgElement("circle", { cx: x, cy: y, r: radius })];
    if (cards.length > 1) {
      children.push(svgElement("text", { x, y: y + 4, "text-anchor": "middle" }, String(cards.length)));
    }
    const made = svgElement("g", {
      class: open ? "dot" : "dot done", role: "button", tabindex: number ? -1 : 0, "aria-label": text,
    }, ...children);
    made.onclick = () => this.choose(cards);
    return made;
  },

  // The corners of the map in degrees.
  axes({ west, east, south, north }) {
    const lon = (value) => { const at = ((value + 540) % 360) - 180; return `${Math.abs(at).toFixed(3)}° ${at < 0 ? "W" : "E"}`; };
    const lat = (value) => `${Math.abs(value).toFixed(3)}° ${value < 0 ? "S" : "N"}`;
    const at = (x, y, anchor, text) => svgElement("text", { class: "axis", x, y, "text-anchor": anchor }, text);
    return [
      svgElement("rect", { class: "grid", x: 1, y: 1, width: MAP_WIDTH - 2, height: MAP_HEIGHT - 2 }),
      at(8, MAP_HEIGHT - 10, "start", `west ${lon(west)}`), at(MAP_WIDTH - 8, MAP_HEIGHT - 10, "end", `east ${lon(east)}`),
      at(MAP_WIDTH / 2, 18, "middle", `north ${lat(north)}`),
      at(MAP_WIDTH / 2, MAP_HEIGHT - 10, "middle", `south ${lat(south)}`),
    ];
  },

  choose(cards) {
    const chosen = new Set(cards);
    this.frames.push({ has: (card) => chosen.has(card), count: chosen.size });
    this.filter();
  },

  zoomOut() {
    this.frames.pop();
    this.filter();
  },

  filter() {
    const last = this.frames.at(-1);
    Filters.place = last ? { has: last.has, text: `Place: ${counted(last.count, "tile")}` } : null;
    Filters.apply();
    this.draw();
    byId("map").querySelector(".dot")?.focus();
  },

  // Arrows lead to the nearest dot in their direction.
  onKey(event) {
    const dots = [...byId("map").querySelectorAll(".dot")], now = dots.indexOf(document.activeElement);
    if (now < 0) return;
    if (event.key === "Enter" || event.key === " ") dots[now].onclick();
    else {
      const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
      if (!dx && !dy) return;
      const at = (dot) => ["cx", "cy"].map((name) => Number(dot.querySelector("circle").getAttribute(name)));
      const [x, y] = at(dots[now]);
      const ahead = dots.map((dot) => {
        const [a, b] = at(dot), along = (a - x) * dx + (b - y) * dy, across = Math.abs((a - x) * dy + (b - y) * dx);
        return { dot, cost: along > 0.5 ? along + 2 * across : Infinity };
      }).sort((one, other) => one.cost - other.cost)[0];
      if (ahead.cost < Infinity) {
        dots[now].setAttribute("tabindex", -1);
        ahead.dot.setAttribute("tabindex", 0);
        ahead.dot.focus();
      }
    }
    event.preventDefault();
    event.stopPropagation();
  },
};
