// A map of points on a canvas: tiles by their places, or by the similarity of their embeddings.

const PALETTE = [
  "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#997700", "#882255",
  "#44aa99", "#cc6677", "#332288", "#dd7788", "#117733", "#6699cc", "#994455", "#999933",
];
const NEAR_PX = 12;

export class PointMap {
  // found(rows) is called with the rows of a selection, clicked(row) with a clicked tile.
  constructor(canvas, { clicked, selected }) {
    this.canvas = canvas;
    this.clicked = clicked;
    this.selected = selected;
    this.marked = new Set();
    this.selects = false;
    this.lasso = [];
    this.x = new Float32Array(0);
    this.y = this.x;
    this.colours = [];
    this.listen();
    new ResizeObserver(() => this.fit(false)).observe(canvas);
  }

  // Show other coordinates, and a base map below them. NaN: the tile is not on this map.
  show(x, y, groups, stretch = 1, base = null) {
    this.base = base;
    this.x = x;
    this.y = y;
    this.stretch = stretch; // one unit of x, in units of y
    const byGroup = new Map();
    for (let row = 0; row < x.length; row++) {
      if (Number.isNaN(x[row])) continue;
      const colour = groups[row] < 0 ? "#888888" : PALETTE[groups[row] % PALETTE.length];
      if (!byGroup.has(colour)) byGroup.set(colour, []);
      byGroup.get(colour).push(row);
    }
    this.colours = [...byGroup];
    this.fit(true);
  }

  mark(rows) {
    this.marked = new Set(rows);
    this.draw();
  }

  fit(all) {
    const box = this.canvas.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, box.width * scale);
    this.canvas.height = Math.max(1, box.height * scale);
    if (all || !this.view) this.view = this.whole();
    this.draw();
  }

  whole() {
    let [west, east, south, north] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const [, rows] of this.colours) {
      for (const row of rows) {
        west = Math.min(west, this.x[row]);
        east = Math.max(east, this.x[row]);
        south = Math.min(south, this.y[row]);
        north = Math.max(north, this.y[row]);
      }
    }
    if (west > east) return null;
    const wide = Math.max((east - west) * this.stretch, 1e-6) / this.canvas.width;
    const high = Math.max(north - south, 1e-6) / this.canvas.height;
    return { x: (west + east) / 2, y: (south + north) / 2, unit: 1.1 * Math.max(wide, high) };
  }

  toScreen(row) {
    const { x, y, unit } = this.view;
    return [
      this.canvas.width / 2 + ((this.x[row] - x) * this.stretch) / unit,
      this.canvas.height / 2 - (this.y[row] - y) / unit,
    ];
  }

  toMap(left, top) {
    const { x, y, unit } = this.view;
    const right = ((left - this.canvas.width / 2) * unit) / this.stretch;
    return [x + right, y - (top - this.canvas.height / 2) * unit];
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const pen = this.canvas.getContext("2d");
    const scale = window.devicePixelRatio || 1;
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.view) return;
    this.base?.paint(pen, this.view);
    const side = Math.max(2, Math.min(6, 4000 / Math.sqrt(this.x.length + 1) / 20)) * scale;
    for (const [colour, rows] of this.colours) {
      pen.fillStyle = colour;
      for (const row of rows) {
        const [left, top] = this.toScreen(row);
        if (left > -side && top > -side && left < this.canvas.width && top < this.canvas.height) {
          pen.fillRect(left - side / 2, top - side / 2, side, side);
        }
      }
    }
    pen.lineWidth = 2 * scale;
    pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
    for (const row of this.marked) {
      if (Number.isNaN(this.x[row])) continue;
      const [left, top] = this.toScreen(row);
      pen.beginPath();
      pen.arc(left, top, 6 * scale, 0, 7);
      pen.stroke();
    }
    if (this.lasso.length > 1) {
      pen.beginPath();
      for (const [x, y] of this.lasso) pen.lineTo(x, y);
      pen.closePath();
      pen.stroke();
    }
  }

  nearest(left, top) {
    const reach = NEAR_PX * (window.devicePixelRatio || 1);
    let [best, found] = [reach * reach, -1];
    for (const [, rows] of this.colours) {
      for (const row of rows) {
        const [x, y] = this.toScreen(row);
        const apart = (x - left) ** 2 + (y - top) ** 2;
        if (apart < best) [best, found] = [apart, row];
      }
    }
    return found;
  }

  inside() {
    const found = [];
    for (const [, rows] of this.colours) {
      for (const row of rows) {
        const [x, y] = this.toScreen(row);
        let within = false;
        for (let i = 0, j = this.lasso.length - 1; i < this.lasso.length; j = i++) {
          const [[a, b], [c, d]] = [this.lasso[i], this.lasso[j]];
          if (b > y !== d > y && x < ((c - a) * (y - b)) / (d - b) + a) within = !within;
        }
        if (within) found.push(row);
      }
    }
    return found.sort((a, b) => a - b);
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  zoom(factor, [left, top] = [this.canvas.width / 2, this.canvas.height / 2]) {
    if (!this.view) return;
    const [x, y] = this.toMap(left, top);
    this.view.unit *= factor;
    const [a, b] = this.toMap(left, top);
    this.view.x += x - a;
    this.view.y += y - b;
    this.draw();
  }

  move(right, down) {
    if (!this.view) return;
    this.view.x -= (right * this.view.unit) / this.stretch;
    this.view.y += down * this.view.unit;
    this.draw();
  }

  listen() {
    const { canvas } = this;
    let from = null;
    let moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      [from, moved] = [this.at(event), false];
      this.lasso = this.selects || event.shiftKey ? [from] : [];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const now = this.at(event);
      moved ||= Math.hypot(now[0] - from[0], now[1] - from[1]) > 4;
      if (!moved) return;
      if (this.lasso.length) {
        this.lasso.push(now);
        this.draw();
      } else {
        this.move(now[0] - from[0], now[1] - from[1]);
        from = now;
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!from) return;
      if (moved && this.lasso.length > 2) this.selected(this.inside());
      else if (!moved) this.click(this.at(event));
      [from, this.lasso] = [null, []];
      this.draw();
    });
    canvas.addEventListener("pointercancel", () => {
      [from, this.lasso] = [null, []];
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, this.at(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = this.canvas.width / 10;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (moves[event.key]) this.move(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(1 / 1.3);
      else if (event.key === "-") this.zoom(1.3);
      else if (event.key === "Enter") this.click([canvas.width / 2, canvas.height / 2]);
      else return;
      event.preventDefault();
    });
  }

  click([left, top]) {
    const row = this.view ? this.nearest(left, top) : -1;
    if (row >= 0) this.clicked(row);
  }
}
