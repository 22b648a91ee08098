// The numbers of now.

import { byId, element, setStyle, setText } from './dom.js';
import { bytes, count, number, percent, seconds, tick } from './format.js';
import { model } from './model.js';

const sum = (list) => list.reduce((all, one) => all + one, 0);
const OK = 0;
const failed = ({ rate }) => sum(rate) - rate[OK];

/** Each tile: a title, what it says, a smaller line, and perhaps a share to draw as a bar and whether it is bad. */
const TILES = [
  { title: 'Calls/s', value: (t) => number(sum(t.rate)), more: (t) => `${number(t.rate[OK])} ok` },
  {
    title: 'Failed/s',
    value: (t) => number(failed(t)),
    more: (t) => `${percent(failed(t) / Math.max(sum(t.rate), 1e-9))} of calls`,
    bad: (t) => failed(t) > 0,
  },
  { title: 'Calls in flight', value: (t) => count(t.active), more: (t) => `${count(t.queued)} queued` },
  {
    title: 'p99 of latency',
    value: (t) => seconds(t.latency_s?.[2]),
    more: (t) => `p50 ${seconds(t.latency_s?.[0])}`,
  },
  { title: 'Cold share', value: (t) => percent(t.cold), more: (t) => `${number(t.starts)} starts/s` },
  {
    title: 'Instances',
    value: (t) => count(sum(t.instances)),
    more: (t) => `${count(t.instances[2])} busy, ${count(t.instances[1])} idle`,
  },
  {
    title: 'CPU in use',
    value: (t) => number(t.cpu_cores),
    more: (t) => `of ${tick(number(t.cpu_capacity_cores))} cores`,
    share: (t) => t.cpu_cores / t.cpu_capacity_cores,
  },
  {
    title: 'Memory in use',
    value: (t) => bytes(t.ram_bytes),
    more: (t) => `of ${bytes(t.ram_capacity_bytes)}`,
    share: (t) => t.ram_bytes / t.ram_capacity_bytes,
  },
  {
    title: 'Slow-down',
    value: (t) => (t.slowdown == null ? number(null) : `${number(t.slowdown)}×`),
    more: (t) => `${number(t.extrapolated)} extrapolated/s`,
  },
  {
    title: 'p99 of lateness',
    value: (t) => seconds(t.lateness_s?.[1]),
    more: (t) => `p50 ${seconds(t.lateness_s?.[0])}`,
  },
];

let made = null;

function make() {
  return TILES.map(({ title, share }) => {
    const value = element('div', { class: 'value' });
    const more = element('div', { class: 'more' });
    const bar = share && element('i');
    const meter = share && element('div', { class: 'meter' }, bar);
    const node = element(
      'div',
      { class: 'tile' },
      element('dt', {}, title),
      element('dd', {}, value, more, ...(meter ? [meter] : [])),
    );
    byId('tiles').append(node);
    return { node, value, more, bar, meter };
  });
}

export function drawTiles() {
  made ??= make();
  const totals = model.snapshot?.totals;
  TILES.forEach(({ value, more, share, bad }, i) => {
    const tile = made[i];
    setText(tile.value, totals ? value(totals) : number(null));
    setText(tile.more, totals ? more(totals) : '');
    tile.node.classList.toggle('bad', Boolean(totals && bad?.(totals)));
    if (!share) return;
    const part = totals ? Math.min(1, Math.max(0, share(totals) || 0)) : 0;
    setStyle(tile.bar, 'width', `${(part * 100).toFixed(1)}%`);
    tile.meter.classList.toggle('full', part > 0.98);
  });
}
