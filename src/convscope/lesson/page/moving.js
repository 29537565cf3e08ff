// Moving a setting's window by pointer and by key.

// The output in a row and column, where there is one, else the nearest.
function indexAt([vertical, horizontal], row, column) {
  const within = (value, axis) => Math.max(0, Math.min(axis.out - 1, Math.floor(value)));
  return within(row, vertical) * horizontal.out + within(column, horizontal);
}

// The output whose window has its upper left corner nearest to a place, in cells.
function indexNear(axes, row, column) {
  return indexAt(axes, Math.round(row / axes[0].stride), Math.round(column / axes[1].stride));
}

// Clicks and drags on a pane's input or output grid; `go` takes the index of an output.
function moveByPointer(pane, grid, ofInput, go) {
  const frame = grid.querySelector(".window");
  let hold = null; // what of the window lies under the pointer, in cells, while it is dragged
  const placeOf = ({ clientX, clientY }) => {
    const box = grid.getBoundingClientRect();
    const cell = ofInput ? pane.cell : pane.unit;
    return [(clientY - box.top) / cell, (clientX - box.left) / cell];
  };
  const move = (event, [down, across]) => {
    const [row, column] = placeOf(event);
    go((ofInput ? indexNear : indexAt)(pane.geometry.axes, row - down, column - across));
  };
  const middle = () => (ofInput ? pane.geometry.axes.map((axis) => axis.extent / 2) : [0, 0]);
  const grip = (event) => {
    const [row, column] = placeOf(event);
    const { left, top } = frame.getBoundingClientRect();
    const [first, start] = placeOf({ clientX: left, clientY: top });
    return [row - first, column - start];
  };
  grid.addEventListener("pointerdown", (event) => {
    if (!pane.geometry.possible || event.button !== 0) return;
    const onFrame = event.target === frame;
    // A finger beside the window may be about to scroll: it only taps, see click.
    if (event.pointerType === "touch" && !onFrame) return;
    hold = onFrame && ofInput ? grip(event) : middle();
    grid.setPointerCapture(event.pointerId);
    grid.classList.add("held");
    move(event, hold);
  });
  grid.addEventListener("pointermove", (event) => hold && move(event, hold));
  for (const end of ["pointerup", "pointercancel"]) {
    grid.addEventListener(end, () => {
      hold = null;
      grid.classList.remove("held");
    });
  }
  grid.addEventListener("click", (event) => {
    if (pane.geometry.possible && event.pointerType === "touch" && event.target !== frame) {
      move(event, middle());
    }
  });
}

// Arrows, Home and End on a pane's input.
function moveByKey(pane, grid, go) {
  grid.addEventListener("keydown", (event) => {
    if (!pane.geometry.possible || event.ctrlKey || event.metaKey || event.altKey) return;
    const columns = pane.geometry.axes[1].out;
    const last = pane.geometry.count - 1;
    const target = {
      ArrowRight: pane.index + 1, ArrowLeft: pane.index - 1,
      ArrowDown: pane.index + columns, ArrowUp: pane.index - columns,
      Home: 0, End: last,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (target >= 0 && target <= last) go(target);
  });
}
