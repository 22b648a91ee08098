// Predicted beside observed run times, both on a logarithmic scale: on the diagonal, the worker did what the model said.

import { byId, element, fillTable, reconcile, setText } from './dom.js';
import { count, number, seconds, tick } from './format.js';
import { functionName, model } from './model.js';
import { surface, touch } from './painter.js';
import { colour } from './theme.js';

/** Colours of the functions with the most points; the rest share the last one. */
const COLOURS = ['ok', 'p90', 'overload', 'timeout', 'oom', 'crash', 'cancelled'];
const EDGE = { left: 68, right: 10, top: 8, bottom: 38 };
/** A point nearer than this to the pointer is the one that is meant, in pixels. */
const NEAR = 12;

let filter = () => null;
let pointer = null;

export function startScatter(chosenFunction) {
  filter = chosenFunction;
  const canvas = byId('scatter-canvas');
  canvas.addEventListener('pointermove', (event) => {
    const box = canvas.getBoundingClientRect();
    pointer = [event.clientX - box.left, event.clientY - box.top];
    touch('scatter');
  });
  canvas.addEventListener('pointerleave', () => {
    pointer = null;
    touch('scatter');
  });
  byId('scatter-table')
    .closest('details')
    .addEventListener('toggle', () => touch('scatter'));
}

export function drawScatter() {
  const only = filter();
  // A logarithm knows no zero: a constant model of 0 ns is no point.
  const pairs = model.pairs.filter(
    ([index, predicted, observed]) => predicted > 0 && observed > 0 && (only === null || index === only),
  );
  const groups = group(pairs);
  const { context, width, height } = surface(byId('scatter-canvas'));
  const scale = axes(pairs, width, height);
  drawAxes(context, scale, width, height);
  const size = pairs.length > 500 ? 2 : 3;
  context.globalAlpha = pairs.length > 200 ? 0.55 : 0.9;
  for (const [index, predicted, observed] of pairs) {
    context.fillStyle = colour(groups.colours.get(index) ?? COLOURS.at(-1));
    context.beginPath();
    context.arc(scale.x(predicted), scale.y(observed), size, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
  if (pairs.length === 0) {
    context.fillStyle = colour('quiet');
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillText('No call has run yet', EDGE.left + (width - EDGE.left - EDGE.right) / 3, height / 4);
  }
  setText(byId('scatter-count'), pairs.length ? `the latest ${count(pairs.length)} calls` : '');
  drawLegend(groups);
  tell(context, pairs, scale);
  drawTable(groups);
}

/** The ratios of each function, those with the most points first. */
function group(pairs) {
  const ratios = new Map();
  for (const [index, predicted, observed] of pairs) {
    if (!ratios.has(index)) ratios.set(index, []);
    ratios.get(index).push(observed / predicted);
  }
  const order = [...ratios].sort((a, b) => b[1].length - a[1].length || a[0] - b[0]);
  // By index, so that a function keeps its colour when another one overtakes it.
  const coloured = order
    .slice(0, COLOURS.length - 1)
    .map(([index]) => index)
    .sort((a, b) => a - b);
  return { order, coloured, colours: new Map(coloured.map((index, i) => [index, COLOURS[i]])) };
}

function axes(pairs, width, height) {
  let [low, high] = [Infinity, 0];
  for (const [, predicted, observed] of pairs) {
    low = Math.min(low, predicted, observed);
    high = Math.max(high, predicted, observed);
  }
  if (high === 0) [low, high] = [1e-3, 1];
  const first = Math.floor(Math.log10(low));
  const last = Math.max(Math.ceil(Math.log10(high)), first + 1);
  const [wide, tall] = [width - EDGE.left - EDGE.right, height - EDGE.top - EDGE.bottom];
  const share = (value) => (Math.log10(value) - first) / (last - first);
  return {
    first,
    last,
    x: (value) => EDGE.left + share(value) * wide,
    y: (value) => EDGE.top + (1 - share(value)) * tall,
  };
}

function drawAxes(context, { first, last, x, y }, width, height) {
  context.strokeStyle = colour('faint');
  context.fillStyle = colour('quiet');
  context.lineWidth = 1;
  // On a narrow screen, with many decades, every second one has its number.
  const every = Math.ceil((last - first) / Math.max(2, Math.floor((width - EDGE.left) / 64)));
  for (let decade = first; decade <= last; decade++) {
    const value = 10 ** decade;
    const [left, top] = [Math.round(x(value)) + 0.5, Math.round(y(value)) + 0.5];
    line(context, left, EDGE.top, left, height - EDGE.bottom);
    line(context, EDGE.left, top, width - EDGE.right, top);
    const text = tick(seconds(value));
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    context.fillText(text, EDGE.left - 6, Math.max(top, 6));
    if ((decade - first) % every !== 0) continue;
    context.textAlign = decade === last ? 'right' : 'center';
    context.textBaseline = 'top';
    context.fillText(text, decade === last ? Math.min(left + 12, width) : left, height - EDGE.bottom + 5);
  }
  context.strokeStyle = colour('quiet');
  context.setLineDash([5, 4]);
  line(context, x(10 ** first), y(10 ** first), x(10 ** last), y(10 ** last));
  context.setLineDash([]);
  context.textAlign = 'center';
  context.textBaseline = 'bottom';
  context.fillText('predicted by the model', (EDGE.left + width - EDGE.right) / 2, height - 2);
  context.save();
  context.translate(11, (EDGE.top + height - EDGE.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText('observed', 0, 3);
  context.restore();
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function drawLegend({ order, coloured }) {
  const rest = order.length - coloured.length;
  const items = [...coloured.map((index, i) => [index, COLOURS[i], functionName(index)])];
  if (rest > 0) items.push([-1, COLOURS.at(-1), `${count(rest)} others`]);
  reconcile(
    byId('scatter-legend'),
    items,
    ([index]) => index,
    () => element('li', { class: 'cut' }, element('span', { class: 'swatch' }), element('span')),
    (node, [, name, text]) => {
      node.firstChild.style.background = `var(--${name})`;
      setText(node.lastChild, text);
    },
  );
}

/** Says what the point at the pointer is. */
function tell(context, pairs, { x, y }) {
  let best = null;
  let least = NEAR;
  for (const pair of pointer ? pairs : []) {
    const distance = Math.hypot(x(pair[1]) - pointer[0], y(pair[2]) - pointer[1]);
    if (distance < least) [least, best] = [distance, pair];
  }
  if (!best) {
    setText(
      byId('scatter-about'),
      'On the dashed line, a call took as long as the model said; above it, longer.',
    );
    return;
  }
  const [index, predicted, observed] = best;
  context.strokeStyle = colour('ink');
  context.beginPath();
  context.arc(x(predicted), y(observed), 5, 0, 2 * Math.PI);
  context.stroke();
  setText(
    byId('scatter-about'),
    `${functionName(index)}: predicted ${seconds(predicted)}, observed ${seconds(observed)}, ${number(observed / predicted)} times as long`,
  );
}

const HEAD = ['Function', 'Calls', 'p10', 'p50', 'p90'];

function drawTable({ order }) {
  const table = byId('scatter-table');
  if (!table.closest('details').open) return;
  fillTable(
    table,
    'Observed divided by predicted run time',
    HEAD,
    order.slice(0, 100),
    ([index]) => index,
    ([index, ratios]) => {
      const sorted = Float64Array.from(ratios).sort();
      const at = (share) => number(sorted[Math.floor(share * (sorted.length - 1))]);
      return [functionName(index), count(sorted.length), at(0.1), at(0.5), at(0.9)];
    },
  );
}
