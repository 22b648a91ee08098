// The heat map of a fleet: one cell a worker, coloured by a number that the reader chooses.

import { byId, element, fillTable, say, setText } from './dom.js';
import { count, number, percent } from './format.js';
import { model, workerName } from './model.js';
import { surface, touch } from './painter.js';
import { colour } from './theme.js';

/** What cells can show: a column of the snapshot's workers. A share has a fixed end, the others grow with the fleet. */
const NUMBERS = [
  { key: 'cpu', label: 'CPU in use', text: percent, most: 1, colour: 'ok' },
  { key: 'ram', label: 'memory in use', text: percent, most: 1, colour: 'ok' },
  { key: 'rate', label: 'calls per second', text: number, colour: 'ok' },
  { key: 'failed', label: 'failed per second', text: number, colour: 'error' },
  { key: 'active', label: 'calls in flight', text: count, colour: 'ok' },
  { key: 'instances', label: 'instances', text: count, colour: 'ok' },
];
const GAP = 2;
const ROWS = 20;

let by = NUMBERS[0];
let chosen = 0;
let grid = { columns: 1, cell: 1 };
let actions = null;

/** `act` gives the buttons of a worker, for `--admin`. */
export function startFleet(act) {
  actions = act;
  const select = byId('fleet-by');
  select.append(...NUMBERS.map(({ key, label }) => element('option', { value: key }, label)));
  select.addEventListener('change', () => {
    by = NUMBERS.find(({ key }) => key === select.value);
    touch('fleet');
  });
  const canvas = byId('fleet-canvas');
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((one) =>
      Math.floor(one / grid.cell),
    );
    if (x < grid.columns) choose(y * grid.columns + x);
  };
  canvas.addEventListener('pointermove', at);
  canvas.addEventListener('pointerdown', at);
  canvas.addEventListener('keydown', (event) => {
    const last = workers() - 1;
    const step = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -grid.columns,
      ArrowDown: grid.columns,
      Home: -chosen,
      End: last - chosen,
    }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(Math.min(Math.max(chosen + step, 0), last));
    say(words(chosen));
  });
  byId('fleet-table')
    .closest('details')
    .addEventListener('toggle', () => touch('fleet'));
}

const workers = () => model.snapshot?.workers[by.key].length ?? 0;

function choose(index) {
  if (index >= workers() || index === chosen) return;
  chosen = index;
  touch('fleet');
}

/** The largest cells with which all fit into the width and about this height. */
function fit(number, width) {
  const height = Math.min(320, Math.max(120, number * 0.32));
  const cell = Math.max(9, Math.min(44, Math.floor(Math.sqrt((width * height) / number))));
  const columns = Math.max(1, Math.floor(width / cell));
  return { columns, cell, rows: Math.ceil(number / columns) };
}

export function drawFleet() {
  const values = model.snapshot?.workers[by.key] ?? [];
  if (values.length < 2) return;
  const canvas = byId('fleet-canvas');
  grid = fit(values.length, canvas.clientWidth);
  canvas.style.height = `${grid.rows * grid.cell}px`;
  const { context } = surface(canvas);
  const most = by.most ?? Math.max(1, ...values);
  const gap = grid.cell < 12 ? 1 : GAP;
  const size = grid.cell - gap;
  values.forEach((value, i) => {
    const [x, y] = [(i % grid.columns) * grid.cell, Math.floor(i / grid.columns) * grid.cell];
    context.globalAlpha = 1;
    context.fillStyle = colour('faint');
    context.fillRect(x, y, size, size);
    // The root shows small numbers apart from none.
    context.globalAlpha = Math.sqrt(Math.min(1, Math.max(0, value / most)));
    context.fillStyle = colour(by.colour);
    context.fillRect(x, y, size, size);
    if (i !== chosen) return;
    context.globalAlpha = 1;
    context.strokeStyle = colour('ink');
    context.lineWidth = 2;
    context.strokeRect(x + 1, y + 1, size - 2, size - 2);
  });
  context.globalAlpha = 1;
  setText(byId('fleet-scale'), `${count(values.length)} workers; empty is 0, full is ${by.text(most)}`);
  tell();
  drawTable(values);
}

/** A worker in words. */
function words(index) {
  const columns = model.snapshot.workers;
  return `${workerName(index)}: ${NUMBERS.map(({ key, label, text }) => `${label} ${text(columns[key][index])}`).join(', ')}`;
}

function tell() {
  const about = byId('fleet-about');
  let line = about.firstElementChild;
  if (line?.dataset.index !== String(chosen)) {
    line = element('span', {});
    line.dataset.index = chosen;
    about.replaceChildren(line, ...actions(chosen));
  }
  setText(line, `${words(chosen)} `);
}

function drawTable(values) {
  const table = byId('fleet-table');
  if (!table.closest('details').open) return;
  const order = values
    .map((_, i) => i)
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, ROWS);
  fillTable(
    table,
    'Workers',
    ['Worker', ...NUMBERS.map(({ label }) => label)],
    order,
    (index) => index,
    (index) => [
      workerName(index),
      ...NUMBERS.map(({ key, text }) => text(model.snapshot.workers[key][index])),
    ],
  );
}
