// When parts of the page are drawn: at most once a frame, what changed alone, and nothing that cannot be seen.

/** One part: drawn when it changed and its element is on the screen of a tab that is shown. */
class Part {
  constructor(node, draw) {
    this.node = node;
    this.draw = draw;
    this.isDirty = true;
    this.isVisible = false;
  }
}

const parts = new Map();
let frame = 0;

function paint() {
  frame = 0;
  for (const part of parts.values()) {
    if (!part.isDirty || !part.isVisible) continue;
    part.isDirty = false;
    part.draw();
  }
}

function schedule() {
  if (frame === 0 && !document.hidden) frame = requestAnimationFrame(paint);
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      for (const part of parts.values())
        if (part.node === entry.target) part.isVisible = entry.isIntersecting;
    }
    schedule();
  },
  { rootMargin: '100px' },
);

const sized = new ResizeObserver((entries) => {
  for (const entry of entries) {
    for (const [name, part] of parts) if (part.node === entry.target) touch(name);
  }
});

document.addEventListener('visibilitychange', schedule);

/** Adds a part: `draw` is called when it changed and can be seen. */
export function addPart(name, node, draw) {
  parts.set(name, new Part(node, draw));
  seen.observe(node);
  sized.observe(node);
}

/** These parts changed. */
export function touch(...names) {
  for (const name of names) {
    const part = parts.get(name);
    if (part) part.isDirty = true;
  }
  schedule();
}

/** Every part changed, for instance its colours. */
export function touchAll() {
  touch(...parts.keys());
}

/** A canvas as large as its box, with the screen's pixels; coordinates are CSS pixels. */
export function surface(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const density = Math.min(window.devicePixelRatio || 1, 3);
  const [wide, high] = [Math.round(width * density), Math.round(height * density)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext('2d');
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  return { context, width, height };
}

export const FONT = '11px system-ui, sans-serif';
