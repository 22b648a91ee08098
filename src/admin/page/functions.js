// The table of functions, in the order of a column that the reader chooses, and the list to choose a function from.

import { byId, element, reconcile, setAttribute, setText } from './dom.js';
import { count, number, percent, seconds } from './format.js';
import { functionName, model } from './model.js';
import { touch } from './painter.js';

/** The most rows: more are found by name. */
const MOST_ROWS = 100;
/** The most entries in the list to choose from: the busiest. */
const MOST_CHOICES = 200;

const sum = (list) => (list ?? []).reduce((all, one) => all + one, 0);

/** Each column: its title, the number or text that sorts it, and what it shows. */
const COLUMNS = [
  { title: 'Function', of: (f) => f.name.toLowerCase(), text: (f) => f.name, isName: true },
  { title: 'Calls', of: (f) => f.calls, text: (f) => count(f.calls) },
  { title: 'Failed', of: (f) => f.allFailed, text: (f) => count(f.allFailed) },
  { title: 'Calls/s', of: (f) => f.rate, text: (f) => rate(f.rate) },
  { title: 'Failed/s', of: (f) => f.failed, text: (f) => rate(f.failed) },
  { title: 'p50', of: (f) => f.p50, text: (f) => seconds(f.p50) },
  { title: 'p90', of: (f) => f.p90, text: (f) => seconds(f.p90) },
  { title: 'p99', of: (f) => f.p99, text: (f) => seconds(f.p99) },
  { title: 'Cold', of: (f) => f.cold, text: (f) => percent(f.cold) },
  { title: 'Instances', of: (f) => f.instances, text: (f) => count(f.instances) },
  { title: 'Predicted', of: (f) => f.predicted, text: (f) => seconds(f.predicted) },
  { title: 'Run', of: (f) => f.run, text: (f) => seconds(f.run) },
  { title: 'Id', of: (f) => f.id, text: (f) => f.id, isName: true, isLeft: true },
];

let order = { column: 1, isDown: true };
let heads = null;

// A smoothed rate never quite reaches zero.
const rate = (value) => number(value < 0.005 ? 0 : value);

export function startFunctions(choose) {
  const table = byId('functions-table');
  heads = COLUMNS.map(({ title, isLeft }, column) => {
    const button = element('button', { type: 'button', onclick: () => sortBy(column) }, title);
    return element('th', { scope: 'col', class: isLeft ? 'left' : undefined, 'aria-sort': 'none' }, button);
  });
  table.append(
    element('caption', { class: 'spoken' }, 'Functions'),
    element('thead', {}, element('tr', {}, ...heads)),
    element('tbody'),
  );
  byId('functions-find').addEventListener('input', () => touch('functions'));
  byId('function').addEventListener('change', (event) =>
    choose(event.target.value === '' ? null : Number(event.target.value)),
  );
}

function sortBy(column) {
  // Numbers are read from the largest, names from A.
  order = { column, isDown: order.column === column ? !order.isDown : !COLUMNS[column].isName };
  touch('functions');
}

/** The function `other` is shown when there is something to say about it. */
function known() {
  const all = model.functions.map(({ id, calls }, index) => ({
    index,
    id,
    name: functionName(index),
    calls: sum(calls),
    allFailed: sum(calls?.slice(1)),
    instances: 0,
    ...model.recent.get(index),
  }));
  return all.filter(({ index, calls }) => index > 0 || calls > 0);
}

function compare(a, b) {
  const { of } = COLUMNS[order.column];
  const [x, y] = [of(a), of(b)];
  // What is not known is last, in either order.
  if (x == null || y == null) return (x == null) - (y == null) || a.index - b.index;
  const sign = order.isDown ? -1 : 1;
  return (x < y ? -sign : x > y ? sign : 0) || a.index - b.index;
}

export function drawFunctions() {
  const all = known();
  const wanted = byId('functions-find').value.trim().toLowerCase();
  const found = all.filter(({ id, name }) => `${name} ${id}`.toLowerCase().includes(wanted)).sort(compare);
  const rows = found.slice(0, MOST_ROWS);
  heads.forEach((head, column) => {
    const direction = order.isDown ? 'descending' : 'ascending';
    setAttribute(head, 'aria-sort', column === order.column ? direction : 'none');
  });
  byId('functions-empty').hidden = all.length > 0;
  byId('functions-table').parentElement.hidden = all.length === 0;
  setText(
    byId('functions-shown'),
    rows.length < all.length ? `${count(rows.length)} of ${count(all.length)}` : count(all.length),
  );
  reconcile(
    byId('functions-table').tBodies[0],
    rows,
    ({ index }) => index,
    () => {
      const cells = COLUMNS.map(({ isName, isLeft }, i) =>
        element(i === 0 ? 'th' : 'td', {
          scope: i === 0 ? 'row' : undefined,
          class: [isName && 'name', isLeft && 'left'].filter(Boolean).join(' ') || undefined,
        }),
      );
      return element('tr', {}, ...cells);
    },
    (row, one) => {
      COLUMNS.forEach(({ text, isName }, i) => {
        setText(row.cells[i], text(one));
        // A long name is cut by the style sheet.
        if (isName) setAttribute(row.cells[i], 'title', text(one));
      });
    },
  );
}

/** Offers the functions that are known, the most called first. */
export function drawChoices() {
  const select = byId('function');
  // A list that is open must not change under the reader.
  if (document.activeElement === select && select.childElementCount > 1) return;
  const offered = known()
    .sort((a, b) => b.calls - a.calls || a.index - b.index)
    .slice(0, MOST_CHOICES);
  const options = [{ index: '', name: 'all' }, ...offered.sort((a, b) => (a.name < b.name ? -1 : 1))];
  const chosen = select.value;
  reconcile(
    select,
    options,
    ({ index }) => index,
    ({ index }) => element('option', { value: index }),
    (option, { name }) => setText(option, name.slice(0, 80)),
  );
  select.value = options.some(({ index }) => String(index) === chosen) ? chosen : '';
}
