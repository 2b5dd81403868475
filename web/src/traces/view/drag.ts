/** A mouse button held down: where it goes, and whether it went anywhere. */

/** px that a hand trembles in a click. */
const STILL_PX = 5;

export interface Drag {
  /** The mouse has moved for real. */
  over(event: PointerEvent): void;
  done(event: PointerEvent, dragged: boolean): void;
}

/** Follow the mouse from a `pointerdown` until the button is let go. */
export function followDrag(down: PointerEvent, drag: Drag): void {
  let dragged = false;
  const move = (event: PointerEvent) => {
    dragged ||= Math.abs(event.clientX - down.clientX) >= STILL_PX;
    if (dragged) drag.over(event);
  };
  const up = (event: PointerEvent) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", up);
    drag.done(event, dragged);
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", up);
}
