// The slowest and the failed calls of the last minutes, each split into its parts.

import { byId, element, reconcile, setAttribute, setStyle, setText } from './dom.js';
import { bytes, clock, count, number, plain, seconds } from './format.js';
import { functionName, model, workerName } from './model.js';
import { touch } from './painter.js';

/** The parts of a call, in the order of time. They add up to its whole time. */
const PARTS = [
  { key: 'queue', label: 'queue', about: 'waiting for a place' },
  { key: 'cold', label: 'cold start', about: 'waiting for the instance' },
  { key: 'run', label: 'run', about: 'as the model predicted' },
  { key: 'cancelled', label: 'scenario', about: 'what the scenario added: noise, a quota' },
  { key: 'fault', label: 'fault', about: 'what a fault added' },
  { key: 'slow', label: 'slow-down', about: 'what other calls took' },
  { key: 'late', label: 'late', about: 'later than planned' },
];
/** A worker that does not tell the two apart tells their sum. */
const BOTH = 'slow-down, late';
const tellsApart = (call) => call.slowdown_s != null;

/** The parts with their names, as far as they are known of a call. */
const named = (call) =>
  tellsApart(call)
    ? PARTS
    : PARTS.flatMap((part) => {
        if (part.key === 'slow') return [];
        return part.key === 'late' ? { ...part, label: BOTH } : part;
      });
const HEAD = ['', 'At', 'Took', 'Parts', 'Outcome', 'Function', 'Worker', 'Instance'];
const LEFT = new Set([1, 3, 4, 5, 6, 7]);

let list = 'slowest';
const open = new Set();
let filter = () => null;

export function startCalls(chosenFunction) {
  filter = chosenFunction;
  for (const name of ['slowest', 'failed']) {
    byId(`calls-${name}`).addEventListener('click', () => {
      list = name;
      for (const other of ['slowest', 'failed'])
        setAttribute(byId(`calls-${other}`), 'aria-pressed', other === name);
      touch('calls');
    });
  }
  const head = HEAD.map((text, i) =>
    element('th', { scope: 'col', class: LEFT.has(i) ? 'left' : undefined }, text),
  );
  head[0].append(element('span', { class: 'spoken' }, 'Details'));
  byId('calls-table').append(
    element('caption', { class: 'spoken' }, 'Calls'),
    element('thead', {}, element('tr', {}, ...head)),
  );
}

/** How long each part took, in seconds. */
export function split(call) {
  const run = call.run_s ?? 0;
  const planned = Math.min(run, call.planned_s ?? run);
  const predicted = Math.min(planned, call.predicted_s ?? planned);
  const added = planned - predicted;
  // A server that does not tell a fault's share: what a call with a fault took beyond the prediction is the fault's.
  const fault = Math.min(added, call.fault_s ?? (call.fault ? added : 0));
  const beyond = run - planned;
  const slow = Math.min(beyond, call.slowdown_s ?? 0);
  return {
    queue: call.queue_s,
    cold: call.cold_start_s,
    run: predicted,
    cancelled: added - fault,
    fault,
    slow,
    late: beyond - slow,
  };
}

const idOf = (call) => `${call.worker} ${call.function} ${call.instance} ${call.number} ${call.at}`;

export function drawCalls() {
  const only = filter();
  const calls = model.calls[list].filter((call) => only === null || call.function === only);
  byId('calls-empty').hidden = calls.length > 0;
  byId('calls-table').parentElement.hidden = calls.length === 0;
  setText(
    byId('calls-empty'),
    list === 'failed' ? 'No call failed in the last minutes.' : 'No call ended in the last minutes.',
  );
  drawLegend(calls.some(tellsApart));
  // The bars of one list have one scale.
  const most = Math.max(1e-9, ...calls.map(({ total_s: total }) => total));
  reconcile(byId('calls-table'), calls, idOf, makeCall, (body, call) => updateCall(body, call, most));
  // Only calls that are still told of can be open.
  const ids = new Set([...model.calls.slowest, ...model.calls.failed].map(idOf));
  for (const id of open) if (!ids.has(id)) open.delete(id);
}

function drawLegend(isApart) {
  reconcile(
    byId('calls-legend'),
    named({ slowdown_s: isApart ? 0 : null }),
    ({ label }) => label,
    ({ key, label, about }) => {
      const swatch = element('span', { class: 'swatch' });
      swatch.style.background = `var(--${key})`;
      return element('li', { title: about }, swatch, label);
    },
    () => {},
  );
}

/** One body a call: its row, and its details below when they are open. */
function makeCall(call) {
  const id = idOf(call);
  const button = element('button', {
    type: 'button',
    class: 'expand',
    onclick: () => {
      if (!open.delete(id)) open.add(id);
      touch('calls');
    },
  });
  const bar = element(
    'div',
    { class: 'parts' },
    ...PARTS.map(({ key }) => {
      const piece = element('i');
      piece.style.background = `var(--${key})`;
      return piece;
    }),
  );
  const cells = HEAD.map((_, i) =>
    element('td', {
      class: [LEFT.has(i) && 'left', i === 5 && 'name'].filter(Boolean).join(' ') || undefined,
    }),
  );
  cells[0].append(button);
  cells[3].append(bar);
  cells[4].append(element('span', { class: 'tag' }), element('span', { class: 'quiet' }));
  return element('tbody', {}, element('tr', {}, ...cells));
}

function updateCall(body, call, most) {
  const { cells } = body.rows[0];
  const isOpen = open.has(idOf(call));
  const [button] = cells[0].children;
  const name = functionName(call.function);
  setText(button, isOpen ? '−' : '+');
  setAttribute(button, 'aria-expanded', isOpen);
  setAttribute(button, 'aria-label', `Details of the call of ${name} at ${clock(call.at)}`);
  setText(cells[1], clock(call.at));
  setText(cells[2], seconds(call.total_s));
  setText(cells[5], name);
  setAttribute(cells[5], 'title', name);
  const [tag, reason] = cells[4].children;
  setText(tag, call.outcome);
  setStyle(tag, 'color', `var(--${/^[a-z]+$/.test(call.outcome) ? call.outcome : 'error'})`);
  const why = call.fault ?? call.reason;
  setText(reason, why ? ` ${why}` : '');
  const parts = split(call);
  const [bar] = cells[3].children;
  PARTS.forEach(({ key }, i) =>
    setStyle(bar.children[i], 'width', `${((parts[key] / most) * 100).toFixed(2)}%`),
  );
  setAttribute(bar, 'role', 'img');
  setAttribute(
    bar,
    'aria-label',
    named(call)
      .filter(({ key }) => parts[key] > 0)
      .map(({ key, label }) => `${label} ${seconds(parts[key])}`)
      .join(', '),
  );
  setText(cells[6], workerName(call.worker));
  setText(cells[7], call.instance ?? 'none');
  if (isOpen && body.rows.length === 1) body.append(details(call, parts));
  if (!isOpen && body.rows.length === 2) body.rows[1].remove();
}

function details(call, parts) {
  const { features } = call;
  const columns = [
    facts(
      'Parts',
      named(call).map(({ key, label }) => [label, seconds(parts[key])]),
      ['all', seconds(call.total_s)],
    ),
    facts('The model', [
      ['predicted', seconds(call.predicted_s)],
      ['planned', seconds(call.planned_s)],
      ['run', seconds(call.run_s)],
      ['run / planned', number(call.slowdown)],
      ['beyond planned', seconds(call.lateness_s)],
    ]),
    facts(
      'What the model was told',
      features
        ? [
            ['request bytes', bytes(features.request_bytes)],
            ['function instances', count(features.function_instances)],
            ['active calls', count(features.active_calls)],
            ['worker CPU', `${number(features.worker_cpu_cores)} cores`],
            ['worker RAM', bytes(features.worker_ram_bytes)],
          ]
        : [['nothing', 'it was not asked']],
    ),
    facts('The call', [
      ['number', count(call.number)],
      ['first of its instance', call.cold ? 'yes' : 'no'],
      ['reason', call.reason || 'none'],
      ['fault', call.fault ?? 'none'],
      ['CPU held', call.cpu_cores == null ? number(null) : `${number(call.cpu_cores)} cores`],
      ['RAM held', bytes(call.ram_bytes)],
    ]),
  ];
  const cell = element('td', { colspan: HEAD.length }, element('div', { class: 'columns' }, ...columns));
  return element('tr', { class: 'detail' }, cell);
}

function facts(title, pairs, last) {
  const lines = [...pairs, ...(last ? [last] : [])];
  const list = lines.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, plain(value))]);
  return element('div', {}, element('h3', {}, title), element('dl', {}, ...list));
}
