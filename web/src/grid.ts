// Places the tiles: an even grid that wastes the least room, or one big tile with the rest in a strip.

import { h } from "./dom";
import type { Tile } from "./tile";

const GAP = 8;
const MIN_WIDTH = 148; // below this a face is not worth showing: scroll instead
const WIDEST = 16 / 9;
const NARROWEST = 3 / 4;

export class Grid {
  readonly element = h("div", { class: "grid", role: "list", "aria-label": "Participants" });
  readonly stage = h("div", { class: "stage" });
  readonly root = h("div", { class: "floor" }, this.stage, this.element);
  private readonly tiles: Tile[] = [];
  private pinned?: Tile;
  private readonly observer = new ResizeObserver(() => this.fit());

  constructor() {
    this.observer.observe(this.element);
  }

  add(tile: Tile): void {
    tile.element.setAttribute("role", "listitem");
    this.tiles.push(tile);
    tile.setPinned(false);
    if (tile.kind === "screen" && !tile.participant.isLocal) this.pinned = tile;
    this.place();
  }

  remove(tile: Tile): void {
    this.tiles.splice(this.tiles.indexOf(tile), 1);
    if (this.pinned === tile) this.pinned = undefined;
    tile.close();
    this.place();
  }

  togglePin(tile: Tile): void {
    this.pinned = this.pinned === tile ? undefined : tile;
    this.place();
  }

  close(): void {
    this.observer.disconnect();
  }

  /** Moves only the nodes that are in the wrong place: moving a video element restarts it. */
  private place(): void {
    for (const tile of this.tiles) {
      const home = tile === this.pinned ? this.stage : this.element;
      if (tile.element.parentElement !== home) home.append(tile.element);
      tile.setPinned(tile === this.pinned);
    }
    this.root.classList.toggle("staged", this.pinned !== undefined);
    this.fit();
  }

  private fit(): void {
    const count = this.pinned ? this.tiles.length - 1 : this.tiles.length;
    const { clientWidth, clientHeight } = this.element;
    if (this.pinned || count < 1 || clientWidth < 1) {
      this.element.style.removeProperty("--width");
      this.element.style.removeProperty("--height");
      return;
    }
    const { width, height } = bestFit(count, clientWidth, clientHeight);
    this.element.style.setProperty("--width", `${width}px`);
    this.element.style.setProperty("--height", `${height}px`);
  }
}

/** The tile size, between 3:4 and 16:9, that covers most of `width` x `height` with `count` tiles. */
export function bestFit(count: number, width: number, height: number): { width: number; height: number } {
  let best = { width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    let w = (width - GAP * (columns - 1)) / columns;
    let h = (height - GAP * (rows - 1)) / rows;
    if (w > h * WIDEST) w = h * WIDEST;
    if (h > w / NARROWEST) h = w / NARROWEST;
    if (w * h > best.width * best.height) best = { width: Math.floor(w), height: Math.floor(h) };
  }
  if (best.width >= MIN_WIDTH) return best;
  const columns = Math.max(1, Math.floor((width + GAP) / (MIN_WIDTH + GAP)));
  const w = Math.floor((width - GAP * (columns - 1)) / columns);
  return { width: w, height: Math.floor((w * 3) / 4) };
}
