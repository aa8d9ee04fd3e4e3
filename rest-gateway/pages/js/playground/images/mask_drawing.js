// A drawing on a picture, and the mask that is made from it.

/// The longest side of the canvas on the screen, in pixels. Only the mask itself has the size of the picture.
const MAX_SHOWN = 1600;

/// Operations in pixels of the picture: `{ type: "stroke", size, points, isErasing }` or `{ type: "rectangle", x, y, width, height,
/// isErasing }`. The list is what "undo" needs.
export class MaskDrawing {
  operations;
  canvas = document.createElement("canvas");
  #context = this.canvas.getContext("2d");

  constructor({ width, height }, operations) {
    this.width = width;
    this.height = height;
    this.operations = [...operations];
    const scale = Math.min(1, MAX_SHOWN / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.#context.scale(this.canvas.width / width, this.canvas.height / height);
  }

  /// Draws everything again, in the text colour of the canvas.
  redraw() {
    this.#context.clearRect(0, 0, this.width, this.height);
    for (const operation of this.operations) draw(this.#context, operation, getComputedStyle(this.canvas).color);
  }

  add(operation) {
    this.operations.push(operation);
    draw(this.#context, operation, getComputedStyle(this.canvas).color);
  }

  /// Continues the last stroke.
  extend(point) {
    const stroke = this.operations.at(-1);
    const segment = { ...stroke, points: [stroke.points.at(-1), point] };
    stroke.points.push(point);
    draw(this.#context, segment, getComputedStyle(this.canvas).color);
  }

  undo() {
    this.operations.pop();
    this.redraw();
  }

  clear() {
    this.operations = [];
    this.redraw();
  }

  /// Returns the mask as a PNG of the size of the picture: transparent where it was painted, opaque elsewhere.
  mask() {
    const painted = newCanvas(this);
    for (const operation of this.operations) draw(painted.getContext("2d"), operation, "black");
    const mask = newCanvas(this);
    const context = mask.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, this.width, this.height);
    context.globalCompositeOperation = "destination-out";
    context.drawImage(painted, 0, 0);
    return new Promise((resolve) => mask.toBlob(resolve, "image/png"));
  }
}

function newCanvas({ width, height }) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function draw(context, operation, colour) {
  context.globalCompositeOperation = operation.isErasing ? "destination-out" : "source-over";
  context.fillStyle = colour;
  context.strokeStyle = colour;
  if (operation.type === "rectangle") {
    context.fillRect(operation.x, operation.y, operation.width, operation.height);
    return;
  }
  const [first, ...others] = operation.points;
  context.lineWidth = operation.size;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.beginPath();
  context.moveTo(first.x, first.y);
  // A line without length is drawn as a dot.
  for (const { x, y } of others.length > 0 ? others : [first]) context.lineTo(x, y);
  context.stroke();
}
