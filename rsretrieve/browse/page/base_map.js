// The base map: map tiles in the Web Mercator grid, below the points. Longitude and the "latitude"
// of the grid are in degrees, so that the world is a square of 360 by 360.

const TILE_PX = 256, MOST_TILES = 120, MOST_HELD = 400, LEVELS_UP = 6, LAST_LATITUDE = 85.0511;

export function mercator(latitude) {
  const angle = (Math.max(-LAST_LATITUDE, Math.min(LAST_LATITUDE, latitude)) * Math.PI) / 180;
  return (Math.log(Math.tan(Math.PI / 4 + angle / 2)) * 180) / Math.PI;
}

export class BaseMap {
  // tiles: template of their addresses; arrived() is called when one more can be drawn.
  constructor({ tiles, zooms }, arrived) {
    this.tiles = tiles;
    [this.lowest, this.highest] = zooms;
    this.arrived = arrived;
    this.held = new Map(); // name -> image, the one used last stands last
  }

  address(zoom, column, row) {
    return this.tiles.replaceAll("{z}", zoom).replaceAll("{x}", column).replaceAll("{y}", row)
      .replaceAll("{-y}", 2 ** zoom - 1 - row);
  }

  // The image of a tile as soon as it is there.
  image(zoom, column, row, asks) {
    const name = `${zoom}/${column}/${row}`;
    let image = this.held.get(name);
    if (image === undefined) {
      if (!asks) return null;
      image = new Image();
      image.onload = () => {
        image.isThere = true;
        this.arrived();
      };
      image.src = this.address(zoom, column, row);
    }
    this.held.delete(name);
    this.held.set(name, image);
    if (this.held.size > MOST_HELD) this.held.delete(this.held.keys().next().value);
    return image.isThere ? image : null;
  }

  // Draw what the view shows: its middle and degrees for each pixel of the canvas.
  paint(pen, { x, y, unit }) {
    const { width, height } = pen.canvas;
    const wanted = Math.round(Math.log2(360 / (unit * TILE_PX)));
    const zoom = Math.max(this.lowest, Math.min(this.highest, wanted));
    const side = 360 / 2 ** zoom, count = 2 ** zoom;
    const [west, east] = [x - (width / 2) * unit, x + (width / 2) * unit];
    const [north, south] = [y + (height / 2) * unit, y - (height / 2) * unit];
    const columns = [Math.floor((west + 180) / side), Math.floor((east + 180) / side)];
    const rows = [Math.max(0, Math.floor((180 - north) / side)),
      Math.min(count - 1, Math.floor((180 - south) / side))];
    this.isTooFar = (columns[1] - columns[0] + 1) * (rows[1] - rows[0] + 1) > MOST_TILES;
    if (this.isTooFar) return;
    for (let column = columns[0]; column <= columns[1]; column += 1) {
      for (let row = rows[0]; row <= rows[1]; row += 1) {
        const left = (column * side - 180 - west) / unit, top = (north - 180 + row * side) / unit;
        const round = [left, top, left + side / unit, top + side / unit].map(Math.round);
        this.paintTile(pen, zoom, ((column % count) + count) % count, row, round);
      }
    }
  }

  // A tile, or the part of one of lower levels as long as it is not there.
  paintTile(pen, zoom, column, row, [left, top, right, bottom]) {
    for (let up = 0; up <= LEVELS_UP && zoom - up >= this.lowest; up += 1) {
      const parts = 2 ** up;
      const image = this.image(zoom - up, Math.floor(column / parts), Math.floor(row / parts), up === 0);
      if (!image) continue;
      const [wide, high] = [image.naturalWidth / parts, image.naturalHeight / parts];
      pen.drawImage(image, (column % parts) * wide, (row % parts) * high, wide, high,
        left, top, right - left, bottom - top);
      return;
    }
  }
}
