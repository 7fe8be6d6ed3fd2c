// The pictures. They lie in chunks behind the script, so that the first cards are there before all
// pictures are loaded. A chunk is decoded when one of its pictures is shown, and few are held.

const CHUNKS_HELD = 24;

const Pictures = {
  chunks: new Map(),  // number -> list of data URIs; the one used last stands last

  // The address of a picture, a data URI, or nothing as long as it is not loaded.
  uri(index) {
    const number = Math.floor(index / DATA.picturesPerChunk);
    let chunk = this.chunks.get(number);
    if (chunk === undefined) {
      const holder = byId(`pictures-${number}`);
      // While the page loads, the last element may be there in part.
      if (!holder || (document.readyState === "loading" && !holder.nextSibling)) return undefined;
      chunk = JSON.parse(holder.textContent);
    }
    this.chunks.delete(number);
    this.chunks.set(number, chunk);
    if (this.chunks.size > CHUNKS_HELD) this.chunks.delete(this.chunks.keys().next().value);
    return chunk[index % DATA.picturesPerChunk];
  },

  // Before an image gets its address: nothing to do in a file, which holds its pictures.
  prepare() {},

  // Show the pictures that were not loaded when their cards were made.
  fill() {
    for (const image of document.querySelectorAll("img[data-waits]")) {
      const uri = this.uri(Number(image.dataset.waits));
      if (uri === undefined) continue;
      image.src = uri;
      delete image.dataset.waits;
    }
    if (document.readyState === "loading") setTimeout(() => this.fill(), 50);
  },
};

function picture(index, reason, name, className) {
  if (index < 0) return element("div", `${className} missing`, reason || "no picture");
  const image = element("img", className);
  Pictures.prepare(image, index);
  const uri = Pictures.uri(index);
  if (uri === undefined) image.dataset.waits = index;
  else image.src = uri;
  image.alt = image.title = shown(name);
  image.decoding = "async";
  return image;
}

function comparedPicture(number) {
  const [tile, , index] = DATA.compared[number];
  return picture(index, tile, tile, "");
}
