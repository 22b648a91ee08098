// What the page knows: the newest minutes of what the worker told, in bounded lists. It draws nothing and asks nothing.

import { plain } from './format.js';

/** The most seconds that are kept. */
export const MOST_ROWS = 900;
const MOST_PAIRS = 2_000;
const MOST_MARKS = 200;
/** Functions whose own percentiles are kept over time: the busiest, as a rule. */
const MOST_CURVES = 64;
/** The share of a new second in a function's smoothed rate. */
const WEIGHT = 0.3;

export const OUTCOMES = ['ok', 'error', 'overload', 'timeout', 'oom', 'crash', 'fault', 'cancelled'];
export const STATES = ['starting', 'idle', 'busy', 'stopping'];

export const model = {
  /** The answer of `api/v1/state`; nothing before the first. */
  state: null,
  /** The newest snapshot. */
  snapshot: null,
  /** One element a second, oldest first; one with `gap` stands where nothing was heard. */
  rows: [],
  /** [function, predicted seconds, observed seconds], oldest first. */
  pairs: [],
  /** Changes: moment and text, oldest first. */
  marks: [],
  /** Functions by index: id, image, calls since the start by outcome. */
  functions: [],
  /** What is known of functions that were called lately: index → rate, failed, percentiles and so on. */
  recent: new Map(),
  /** Index of a function → its own rows, for at most MOST_CURVES functions. */
  curves: new Map(),
  calls: { slowest: [], failed: [] },
  faults: [],
  scenario: null,
  /** When this page was saved as a file, in seconds since 1970; nothing on a live page. */
  savedAt: null,
};

function append(list, items, most) {
  for (const item of items) list.push(item);
  if (list.length > most) list.splice(0, list.length - most);
}

function addRow(list, row, period) {
  const last = list.at(-1);
  if (last && row.at <= last.at) return;
  const isLate = last && row.at - last.at > period * 2.5;
  append(list, isLate ? [{ at: last.at + period, gap: true }, row] : [row], MOST_ROWS);
}

function row(at, totals) {
  return {
    at,
    rate: totals.rate,
    active: totals.active,
    queued: totals.queued,
    instances: totals.instances,
    starts: totals.starts,
    stops: totals.stops,
    cold: totals.cold,
    latency: totals.latency_s,
    cpu: totals.cpu_cores,
    ram: totals.ram_bytes,
    slowdown: totals.slowdown,
    lateness: totals.lateness_s,
  };
}

/** Takes the answer of `api/v1/state`. What belongs to an earlier run is dropped, but for the curves. */
export function takeState(state) {
  const isOther = model.state && model.state.run !== state.run;
  const period = state.period_s || 1;
  if (isOther) {
    model.functions = [];
    model.pairs = [];
    model.recent.clear();
    model.curves.clear();
    model.calls = { slowest: [], failed: [] };
    model.faults = [];
    model.snapshot = null;
    append(model.marks, [{ at: state.started, text: 'worker restarted' }], MOST_MARKS);
  }
  model.state = state;
  const { history } = state;
  history.at.forEach((at, i) => {
    const totals = Object.fromEntries(Object.entries(history).map(([name, column]) => [name, column[i]]));
    addRow(model.rows, row(at, totals), period);
  });
  model.pairs = state.pairs.slice(-MOST_PAIRS);
  addMarks(state.marks);
  if (state.snapshot) takeSnapshot(state.snapshot);
}

/** Takes one second. It must be of the run whose state was taken. */
export function takeSnapshot(snapshot) {
  // The first event of a stream may be one that the state brought already.
  if (model.snapshot && snapshot.n <= model.snapshot.n) return;
  const period = model.state?.period_s || 1;
  model.snapshot = snapshot;
  addRow(model.rows, row(snapshot.at, snapshot.totals), period);
  append(model.pairs, snapshot.pairs, MOST_PAIRS);
  addMarks(snapshot.marks);
  takeFunctions(snapshot, period);
}

function addMarks(marks) {
  const isKnown = ({ at, text }) => model.marks.some((mark) => mark.at === at && mark.text === text);
  append(
    model.marks,
    marks.filter((mark) => !isKnown(mark)),
    MOST_MARKS,
  );
}

function takeFunctions({ at, functions, function_instances: instances }, period) {
  for (const one of model.recent.values()) {
    one.rate *= 1 - WEIGHT;
    one.failed *= 1 - WEIGHT;
    one.instances = 0;
  }
  for (const [index, rate, failed, p50, p90, p99, cold, predicted, run] of functions) {
    const one = recent(index);
    one.rate += rate * WEIGHT;
    one.failed += failed * WEIGHT;
    Object.assign(one, { p50, p90, p99, cold, predicted, run, at });
    let rows = model.curves.get(index);
    if (!rows) {
      if (model.curves.size >= MOST_CURVES) forgetOldest();
      model.curves.set(index, (rows = []));
    }
    addRow(rows, { at, latency: [p50, p90, p99], cold }, period);
  }
  for (const [index, number] of instances) recent(index).instances = number;
}

/** Takes the list of functions. A place that another function has now says nothing of the one before. */
export function takeList(functions) {
  model.functions.forEach(({ id }, index) => {
    if (functions[index]?.id === id) return;
    model.recent.delete(index);
    model.curves.delete(index);
    model.pairs = model.pairs.filter(([place]) => place !== index);
  });
  model.functions = functions;
}

function recent(index) {
  let one = model.recent.get(index);
  if (!one) model.recent.set(index, (one = { rate: 0, failed: 0, instances: 0 }));
  return one;
}

/** Forgets the curves of the function that was called the longest ago. */
function forgetOldest() {
  let oldest = null;
  for (const [index, rows] of model.curves) {
    if (oldest === null || rows.at(-1).at < model.curves.get(oldest).at(-1).at) oldest = index;
  }
  model.curves.delete(oldest);
}

let names = { of: null, list: [] };

/** A function's name as people know it: its image, with the begin of its id where several have the same one. */
export function functionName(index) {
  if (names.of !== model.functions) {
    const uses = new Map();
    for (const { image } of model.functions) uses.set(image, (uses.get(image) ?? 0) + 1);
    names = {
      of: model.functions,
      list: model.functions.map(({ id, image }) => {
        if (!image) return plain(id);
        return plain(uses.get(image) > 1 ? `${image} (${id.slice(0, 8)})` : image);
      }),
    };
  }
  return names.list[index] ?? `function ${index}`;
}

export function workerName(index) {
  return model.state?.workers.names[index] ?? `worker ${index}`;
}

/** Columns between two moments for curves: the moments, and what each of `picks` takes from a row. */
export function columns(rows, [from, to], picks) {
  const shown = rows.filter(({ at }) => at >= from - 2 && at <= to);
  return [
    shown.map(({ at }) => at),
    ...picks.map((pick) => shown.map((one) => (one.gap ? null : (pick(one) ?? null)))),
  ];
}

/** All that a saved page needs. */
export function dump() {
  const { state, rows, ...rest } = model;
  // The history and the first snapshot of the state stand in the rows and in the newest snapshot.
  const history = { at: [] };
  return {
    ...rest,
    rows,
    savedAt: Date.now() / 1e3,
    state: state && { ...state, history, pairs: [], marks: [], snapshot: null, admin: false },
    recent: [...model.recent],
    curves: [...model.curves],
  };
}

/** Takes what `dump` gave. */
export function restore(saved) {
  Object.assign(model, saved, { recent: new Map(saved.recent), curves: new Map(saved.curves) });
}
