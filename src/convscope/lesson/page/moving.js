// Moves a setting's window by pointer and by key.

// Returns the index of the output in a row and column, or of the nearest one.
function indexAt([vertical, horizontal], row, column) {
  const within = (value, axis) => Math.max(0, Math.min(axis.out - 1, Math.floor(value)));
  return within(row, vertical) * horizontal.out + within(column, horizontal);
}

// Returns the index of the output whose window's upper left corner is nearest to a row and column
// of the input.
function indexNear(axes, row, column) {
  return indexAt(axes, Math.round(row / axes[0].stride), Math.round(column / axes[1].stride));
}

// Handles clicks and drags on a pane's input or output grid; `go` takes the index of an output.
function moveByPointer(pane, grid, ofInput, go) {
  const frame = grid.querySelector(".window");
  let grabbed = null; // pointer position in the window, in cells, while it is dragged; else null
  const cellAt = ({ clientX, clientY }) => {
    const box = grid.getBoundingClientRect();
    const cell = ofInput ? pane.cell : pane.unit;
    return [(clientY - box.top) / cell, (clientX - box.left) / cell];
  };
  const move = (event, [down, across]) => {
    const [row, column] = cellAt(event);
    go((ofInput ? indexNear : indexAt)(pane.geometry.axes, row - down, column - across));
  };
  const middle = () => (ofInput ? pane.geometry.axes.map((axis) => axis.extent / 2) : [0, 0]);
  const inWindow = (event) => {
    const [row, column] = cellAt(event);
    const { left, top } = frame.getBoundingClientRect();
    const [first, start] = cellAt({ clientX: left, clientY: top });
    return [row - first, column - start];
  };
  grid.addEventListener("pointerdown", (event) => {
    if (!pane.geometry.possible || event.button !== 0) return;
    const onFrame = event.target === frame;
    // A touch outside the window may begin to scroll, so only a tap moves the window, see click.
    if (event.pointerType === "touch" && !onFrame) return;
    grabbed = onFrame && ofInput ? inWindow(event) : middle();
    grid.setPointerCapture(event.pointerId);
    grid.classList.add("grabbed");
    move(event, grabbed);
  });
  grid.addEventListener("pointermove", (event) => grabbed && move(event, grabbed));
  for (const end of ["pointerup", "pointercancel"]) {
    grid.addEventListener(end, () => {
      grabbed = null;
      grid.classList.remove("grabbed");
    });
  }
  grid.addEventListener("click", (event) => {
    if (pane.geometry.possible && event.pointerType === "touch" && event.target !== frame) {
      move(event, middle());
    }
  });
}

// Handles arrow keys, Home and End on a pane's input.
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
