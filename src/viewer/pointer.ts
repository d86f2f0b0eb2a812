/** Wheel, drag and pinch. */

/** What pointers ask for. */
export interface PointerWishes {
  /** Where on the time axis a place of the canvas is, from 0 to 1. */
  place(x: number): number;
  zoom(factor: number, around: number): void;
  /** The lanes go with the pointer. */
  move(pixels: number): void;
  over(x: number, y: number): void;
  out(): void;
  hint(text: string, x: number, y: number): void;
}

/** How far a pointer goes before it drags. */
const STILL = 3;

/** Turns what pointers do on the canvas into wishes. */
export class PointerMoves {
  readonly #down = new Map<number, number>();
  #moved = false;

  constructor(
    stage: HTMLElement,
    readonly canvas: HTMLCanvasElement,
    readonly wishes: PointerWishes,
  ) {
    stage.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    stage.addEventListener('pointerleave', () => wishes.out());
    canvas.addEventListener('dblclick', (event) => wishes.zoom(0.4, this.#place(event.clientX)));
    canvas.addEventListener('pointerdown', (event) => {
      this.#down.set(event.pointerId, event.clientX);
      this.#moved = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    const up = (event: PointerEvent): void => {
      // A tap says what is there: a finger has no other way to ask.
      if (event.type === 'pointerup' && !this.#moved) wishes.over(event.offsetX, event.offsetY);
      this.#down.delete(event.pointerId);
    };
    canvas.addEventListener('pointerup', up);
    canvas.addEventListener('pointercancel', up);
  }

  #place(clientX: number): number {
    const x = clientX - this.canvas.getBoundingClientRect().left;
    return Math.min(1, Math.max(0, this.wishes.place(x)));
  }

  /** The wheel alone scrolls, as everywhere on a page; with a key it zooms, and to the side it moves. */
  #wheel(event: WheelEvent): void {
    const { deltaX, deltaY, clientX, clientY } = event;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.wishes.zoom(1.0025 ** Math.max(-120, Math.min(120, deltaY)), this.#place(clientX));
      return;
    }
    const sideways = event.shiftKey && deltaX === 0 ? deltaY : deltaX;
    if (event.shiftKey || Math.abs(deltaX) > Math.abs(deltaY)) {
      event.preventDefault();
      this.wishes.move(sideways);
      return;
    }
    const { left, top } = this.canvas.getBoundingClientRect();
    this.wishes.hint('Ctrl and the wheel zoom, Shift and the wheel move', clientX - left, clientY - top);
  }

  #move(event: PointerEvent): void {
    const before = this.#down.get(event.pointerId);
    if (before === undefined) {
      this.wishes.over(event.offsetX, event.offsetY);
      return;
    }
    const by = event.clientX - before;
    if (!this.#moved && Math.abs(by) < STILL) return;
    this.#moved = true;
    const other = [...this.#down].find(([id]) => id !== event.pointerId)?.[1];
    this.#down.set(event.pointerId, event.clientX);
    if (other === undefined) {
      this.wishes.move(-by);
      return;
    }
    const [wide, wider] = [Math.abs(before - other), Math.abs(event.clientX - other)];
    if (wide > 10 && wider > 10) this.wishes.zoom(wide / wider, this.#place((event.clientX + other) / 2));
  }
}
