// The strip of instances: one row each, one cell a second, over the last minutes.

import { byId, element, fillTable, say, setText } from './dom.js';
import { clock, percent, plain, short, span } from './format.js';
import { functionName, model, workerName } from './model.js';
import { surface, touch } from './painter.js';
import { colour } from './theme.js';

/** What a cell's letter means; `part` of the row's height is filled. */
const CELLS = {
  S: { label: 'cold start', colour: 'starting', part: 1 },
  '.': { label: 'idle', colour: 'idle', part: 0.34 },
  b: { label: 'busy in a part of the second', colour: 'busy', part: 0.67 },
  B: { label: 'busy', colour: 'busy', part: 1 },
  d: { label: 'takes no more calls', colour: 'cancelled', part: 0.34 },
  X: { label: 'killed', colour: 'killed', part: 1, isEnd: true },
  T: { label: 'ended: idle for too long', colour: 'quiet', part: 1, isEnd: true },
  E: { label: 'stopped', colour: 'quiet', part: 1, isEnd: true },
  D: { label: 'ended with the worker', colour: 'quiet', part: 1, isEnd: true },
};
const LEGEND = [
  ['S', 'cold start'],
  ['.', 'idle'],
  ['B', 'busy'],
  ['d', 'stopping'],
  ['X', 'killed'],
  ['E', 'stopped'],
];

const ROW = 13;
const MOST_CELLS = 180;
/** Room for names in front of the rows, in pixels: more where there is more. */
const names = (width) => Math.min(230, Math.max(96, width * 0.2));

let chosen = null;
let shown = [];
let actions = null;

/** `filter` gives the function that is shown, or nothing; `act` gives the buttons of an instance, for `--admin`. */
export function startStrip(filter, act) {
  const canvas = byId('strip-canvas');
  startStrip.filter = filter;
  actions = act;
  for (const [letter, text] of LEGEND) {
    const swatch = element('span', { class: 'swatch' });
    swatch.style.background = `var(--${CELLS[letter].colour})`;
    byId('strip-legend').append(element('li', {}, swatch, text));
  }
  const at = (event) => Math.floor((event.clientY - canvas.getBoundingClientRect().top) / ROW);
  canvas.addEventListener('pointermove', (event) => choose(at(event)));
  canvas.addEventListener('pointerdown', (event) => choose(at(event)));
  canvas.addEventListener('keydown', (event) => {
    const now = Math.max(
      0,
      shown.findIndex(([id]) => id === chosen),
    );
    const next = {
      ArrowDown: chosen === null ? 0 : now + 1,
      ArrowUp: now - 1,
      Home: 0,
      End: shown.length - 1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    choose(Math.min(Math.max(next, 0), shown.length - 1));
    const row = shown.find(([id]) => id === chosen);
    if (row) say(words(row));
    const scroll = canvas.parentElement;
    const top = Math.max(next, 0) * ROW;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    if (top + ROW > scroll.scrollTop + scroll.clientHeight)
      scroll.scrollTop = top + ROW - scroll.clientHeight;
  });
  byId('strip-table')
    .closest('details')
    .addEventListener('toggle', () => touch('strip'));
}

function choose(row) {
  const id = shown[row]?.[0] ?? null;
  if (id === null || id === chosen) return;
  chosen = id;
  touch('strip');
}

export function drawStrip() {
  const only = startStrip.filter();
  const rows = (model.snapshot?.strip ?? []).filter(([, , index]) => only === null || index === only);
  // Rows stay where they are: by function, then by age.
  shown = rows.sort((a, b) => a[2] - b[2] || a[3] - b[3] || (a[0] < b[0] ? -1 : 1));
  const canvas = byId('strip-canvas');
  const isEmpty = shown.length === 0;
  byId('strip-empty').hidden = !isEmpty;
  canvas.parentElement.hidden = isEmpty;
  byId('strip-times').hidden = isEmpty;
  if (isEmpty) {
    setText(byId('strip-about'), '');
    return;
  }
  canvas.style.height = `${shown.length * ROW}px`;
  const { context, width } = surface(canvas);
  const left = names(width);
  const cell = (width - left) / MOST_CELLS;
  const letters = Math.floor((left - 10) / 5.6);
  shown.forEach(([id, , index, , cells], i) => {
    const top = i * ROW;
    if (id === chosen) {
      context.fillStyle = colour('faint');
      context.fillRect(0, top, width, ROW);
    }
    context.fillStyle = colour(id === chosen ? 'ink' : 'quiet');
    context.textBaseline = 'middle';
    context.fillText(label(index, id, letters), 4, top + ROW / 2 + 0.5, left - 8);
    drawCells(context, cells, width - cells.length * cell, top, cell);
  });
  drawTimes(left);
  tell();
  drawTable();
}

function label(index, id, letters) {
  const tail = ` ${plain(id.slice(-4))}`;
  return short(functionName(index), Math.max(6, letters - tail.length)) + tail;
}

/** Cells of one kind are one rectangle; the end of an instance is a line across the row. */
function drawCells(context, cells, left, top, width) {
  const high = ROW - 3;
  let begin = 0;
  for (let i = 1; i <= cells.length; i++) {
    if (cells[i] === cells[begin]) continue;
    const kind = CELLS[cells[begin]];
    if (kind) {
      context.fillStyle = colour(kind.colour);
      const height = Math.round(high * kind.part);
      const wide = kind.isEnd ? Math.max(3, width) : (i - begin) * width + 0.3;
      context.fillRect(left + begin * width, top + 1 + high - height, wide, height);
    }
    begin = i;
  }
}

function drawTimes(left) {
  const times = byId('strip-times');
  times.style.paddingLeft = `${left}px`;
  if (times.childElementCount > 0) return;
  for (const text of ['3 min ago', '2 min', '1 min', 'now']) times.append(element('span', {}, text));
}

const part = (cells, letters) => [...cells].filter((letter) => letters.includes(letter)).length;

/** A row in words. */
function words([id, worker, index, created, cells]) {
  const now = CELLS[cells.at(-1)]?.label ?? 'not there';
  return (
    `${id} of ${functionName(index)} on ${workerName(worker)}, since ${clock(created)}: ${now}; busy in ` +
    `${part(cells, 'bB')} of ${cells.trimStart().length} seconds, ${span(part(cells, 'S'))} of cold start`
  );
}

/** Says what the chosen row shows. */
function tell() {
  const about = byId('strip-about');
  const row = shown.find(([id]) => id === chosen);
  if (!row) {
    const many =
      shown.length === 1 ? '1 instance' : `${shown.length} instances, those that did something last`;
    setText(about, `${many}. Point at a row, or use ↑ and ↓.`);
    return;
  }
  const [id] = row;
  let line = about.firstElementChild;
  if (line?.dataset.id !== id) {
    line = element('span', {});
    line.dataset.id = id;
    about.replaceChildren(line, ...actions(id));
  }
  setText(line, `${words(row)} `);
}

const HEAD = ['Instance', 'Function', 'Worker', 'Since', 'Now', 'Busy seconds', 'Cold start'];

function drawTable() {
  const table = byId('strip-table');
  if (!table.closest('details').open) return;
  fillTable(
    table,
    'Instances over the last minutes',
    HEAD,
    shown,
    ([id]) => id,
    ([id, worker, index, created, cells]) => {
      const busy = part(cells, 'bB');
      return [
        id,
        functionName(index),
        workerName(worker),
        clock(created),
        CELLS[cells.at(-1)]?.label ?? 'not there',
        `${busy} (${percent(busy / (cells.trimStart().length || 1))})`,
        span(part(cells, 'S')),
      ];
    },
  );
}
