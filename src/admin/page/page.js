// The live page: joins the connection, what is known, and the parts that show it.

import { drawAdmin, instanceActions, startAdmin, takeScenario, workerActions } from './admin.js';
import { drawCalls, startCalls } from './calls.js';
import { Curves, decades, fromZero } from './curves.js';
import { byId, element, setAttribute, setText } from './dom.js';
import { drawFleet, startFleet } from './fleet.js';
import { bytes, clock, count, number, percent, seconds, span, tick } from './format.js';
import { drawChoices, drawFunctions, startFunctions } from './functions.js';
import { Live } from './live.js';
import { OUTCOMES, columns, functionName, model, restore, takeList } from './model.js';
import { addPart, touch, touchAll } from './painter.js';
import { keepSources, save } from './save.js';
import { drawScatter, startScatter } from './scatter.js';
import { drawSeconds, startSeconds } from './seconds.js';
import { drawStrip, startStrip } from './strip.js';
import { startTheme } from './theme.js';
import { drawTiles } from './tiles.js';

/** The index of the function that the reader chose; nothing for all. */
let chosen = null;
/** The server's clock minus the browser's, in seconds: curves are drawn by the server's. */
let skew = 0;

const chosenFunction = () => chosen;
const STATES_SHOWN = [
  [2, 'busy', 'busy'],
  [1, 'idle', 'idle'],
  [0, 'starting', 'starting'],
  [3, 'stopping', 'cancelled'],
];

/** What the curves span: to now while the page lives, so that a lost connection is a growing gap. */
function shownWindow() {
  const last = model.rows.at(-1)?.at ?? Date.now() / 1e3;
  const end = model.savedAt || live?.isPaused ? last : Math.max(last, Date.now() / 1e3 + skew);
  return [end - Number(byId('window').value), end];
}

function curves(name, options) {
  const section = byId(name);
  return new Curves(section.querySelector('.plot'), section.querySelector('.legend'), {
    title: section.querySelector('h2').textContent,
    marks: () => model.marks,
    ...options,
  });
}

const rate = curves('rate', {
  sparse: true,
  series: OUTCOMES.map((label, i) => ({
    label,
    colour: label,
    text: number,
    fill: i === 0 ? 0.14 : undefined,
  })),
  scales: [{ name: 'y', range: fromZero(1) }],
  axes: [{ scale: 'y', label: 'calls per second', text: (v) => tick(number(v)) }],
});
const latency = curves('latency', {
  series: [
    { label: 'p50', colour: 'p50', text: seconds },
    { label: 'p90', colour: 'p90', text: seconds, dash: [6, 3] },
    { label: 'p99', colour: 'p99', text: seconds, dash: [2, 2] },
    { label: 'cold', colour: 'cold', text: percent, scale: 'share', fill: 0.14 },
  ],
  scales: [
    { name: 'y', range: decades, log: true },
    { name: 'share', range: () => [0, 1] },
  ],
  axes: [
    { scale: 'y', label: 'from arrival to end', text: (v) => tick(seconds(v)) },
    { scale: 'share', label: 'cold share', text: (v) => `${Math.round(v * 100)} %`, side: 1 },
  ],
});
const instances = curves('instances', {
  stacked: true,
  series: STATES_SHOWN.map(([, label, name]) => ({ label, colour: name, text: count, fill: 0.75 })),
  scales: [{ name: 'y', range: fromZero(1) }],
  axes: [{ scale: 'y', label: 'instances', text: (v) => (Number.isInteger(v) ? count(v) : '') }],
});

function drawLatency() {
  const rows = chosen === null ? model.rows : (model.curves.get(chosen) ?? []);
  setText(byId('latency-of'), chosen === null ? '' : `of ${functionName(chosen)}`);
  const picks = [0, 1, 2].map(
    (i) =>
      ({ latency: times }) =>
        times?.[i] > 0 ? times[i] : null,
  );
  latency.draw(columns(rows, shownWindow(), [...picks, ({ cold }) => cold]), shownWindow());
}

function drawFrame() {
  const { state, savedAt } = model;
  if (!state) return;
  const workers = state.workers.names;
  const since = (savedAt ?? Date.now() / 1e3 + skew) - state.started;
  const facts = [
    workers.length === 1 ? workers[0] : `${count(workers.length)} workers, ${workers[0]} first`,
    `${tick(number(state.workers.cpu_cores))} CPUs and ${bytes(state.workers.memory_bytes)}${workers.length > 1 ? ' each' : ''}`,
    `up ${span(since)}`,
    `scenario ${state.scenario?.name ?? 'plain'}`,
    ...(state.time_scale === 1 ? [] : [`time × ${number(state.time_scale)}`]),
    `version ${state.version}`,
  ];
  if (savedAt) facts.unshift(`saved ${new Date(savedAt * 1e3).toLocaleString('en-GB')}`);
  const line = byId('facts');
  while (line.childElementCount < facts.length) line.append(element('span'));
  while (line.childElementCount > facts.length) line.lastChild.remove();
  facts.forEach((text, i) => setText(line.children[i], text));
  byId('fleet').hidden = workers.length < 2;
}

function tellState(state, text) {
  const names = {
    live: 'live',
    lost: 'no connection',
    waiting: 'connecting',
    paused: 'paused',
    saved: 'saved run',
  };
  const label = byId('state');
  // What the banner says stays until the state changes.
  if (state !== 'lost' && label.dataset.state === state) return;
  setAttribute(label, 'data-state', state);
  setAttribute(document.body, 'data-connection', state);
  setText(label, names[state]);
  const banner = byId('banner');
  const isLost = state === 'lost';
  banner.hidden = !isLost;
  setText(banner, isLost ? `${text} What was seen stays here and can be saved.` : '');
}

/** What a second changes. */
const EACH_SECOND = [
  'frame',
  'tiles',
  'rate',
  'latency',
  'instances',
  'seconds',
  'fleet',
  'strip',
  'functions',
  'scatter',
];

function startParts() {
  addPart('frame', document.querySelector('header'), drawFrame);
  addPart('tiles', byId('tiles'), drawTiles);
  addPart('rate', byId('rate'), () => {
    const picks = OUTCOMES.map(
      (_, i) =>
        ({ rate: rates }) =>
          rates?.[i],
    );
    rate.draw(columns(model.rows, shownWindow(), picks), shownWindow());
  });
  addPart('latency', byId('latency'), drawLatency);
  addPart('instances', byId('instances'), () => {
    const picks = STATES_SHOWN.map(
      ([i]) =>
        ({ instances: states }) =>
          states?.[i],
    );
    instances.draw(columns(model.rows, shownWindow(), picks), shownWindow());
  });
  addPart('seconds', byId('seconds'), drawSeconds);
  addPart('fleet', byId('fleet'), drawFleet);
  addPart('strip', byId('strip'), drawStrip);
  addPart('functions', byId('functions'), drawFunctions);
  addPart('calls', byId('calls'), drawCalls);
  addPart('scatter', byId('scatter'), drawScatter);
  addPart('admin', byId('admin'), drawAdmin);
  startSeconds();
  startFleet(workerActions);
  startStrip(chosenFunction, instanceActions);
  startScatter(chosenFunction);
  startCalls(chosenFunction);
  startAdmin();
  startFunctions((index) => {
    chosen = index;
    touch('latency', 'strip', 'calls', 'scatter');
  });
  byId('window').addEventListener('change', () => touch('rate', 'latency', 'instances'));
  startTheme(byId('theme'));
}

function startLive() {
  let run = null;
  const page = new Live({
    told: tellState,
    changed: (what) => {
      if (what === 'state') {
        // In another run, the place of the chosen function is another function's.
        if (run !== model.state.run) {
          chosen = null;
          byId('function').value = '';
        }
        run = model.state.run;
        touchAll();
      } else {
        skew = model.snapshot.at - Date.now() / 1e3;
      }
      if (what === 'state' || model.snapshot.marks.length > 0) drawAdmin();
      touch(...EACH_SECOND);
    },
  });
  const often = () => 2;
  // Calls change each second on a busy worker, and are many: who does not look at them gets them less often.
  const callsPause = () => {
    const { top, bottom } = byId('calls').getBoundingClientRect();
    return top < innerHeight && bottom > 0 ? 2 : 15;
  };
  // Totals and counts grow without a new version: they are asked for again after some seconds.
  page.addPage(
    'api/v1/functions',
    (s) => `${s.functions_version} ${Math.floor(s.at / 15)}`,
    often,
    ({ functions }) => {
      takeList(functions);
      drawChoices();
      touch('functions', 'latency', 'strip', 'calls', 'scatter');
    },
  );
  page.addPage(
    'api/v1/calls',
    (s) => s.calls_version,
    callsPause,
    ({ slowest, failed }) => {
      model.calls = { slowest, failed };
      touch('calls');
    },
  );
  page.addPage(
    'api/v1/faults',
    (s) => `${s.faults_version} ${Math.floor(s.at / 5)}`,
    often,
    ({ faults }) => {
      model.faults = faults;
      drawAdmin();
    },
  );
  page.addPage(
    'api/v1/scenario',
    (s) => s.faults_version,
    often,
    (scenario) => {
      takeScenario(scenario);
      drawAdmin();
    },
  );
  byId('pause').addEventListener('click', () => {
    const isPaused = !page.isPaused;
    setAttribute(byId('pause'), 'aria-pressed', isPaused);
    setText(byId('pause'), isPaused ? 'Go on' : 'Pause');
    page.pause(isPaused);
    touch(...EACH_SECOND);
  });
  byId('save').addEventListener('click', () =>
    save().catch((error) => {
      byId('banner').hidden = false;
      setText(byId('banner'), `The run was not saved: ${error.message}`);
    }),
  );
  keepSources();
  // Without a snapshot, time goes on all the same.
  setInterval(() => {
    if (!page.source && !page.isPaused) touch('rate', 'latency', 'instances');
  }, 1_000);
  return page;
}

function startSaved(text) {
  restore(JSON.parse(text));
  for (const id of ['pause', 'save', 'table-link']) byId(id).hidden = true;
  tellState('saved', '');
  document.title = `HyperFake Worker, saved ${clock(model.savedAt)}`;
  takeScenario(model.scenario ?? { text: null });
  drawChoices();
  drawFrame();
  drawAdmin();
  touchAll();
}

let live = null;
startParts();
const saved = byId('saved');
if (saved) startSaved(saved.textContent);
else live = startLive();
