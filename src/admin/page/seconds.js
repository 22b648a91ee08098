// The last seconds as a table: what the curves show, for readers to whom a drawing says nothing.

import { byId, fillTable } from './dom.js';
import { clock, count, number, percent, seconds } from './format.js';
import { STATES, model } from './model.js';
import { touch } from './painter.js';

const SHOWN = 30;
const HEAD = [
  'Second',
  'Calls/s',
  'Failed/s',
  'p50',
  'p90',
  'p99',
  'Cold',
  'In flight',
  'Queued',
  ...STATES,
  'CPU',
  'p99 of lateness',
];

export function startSeconds() {
  byId('seconds').addEventListener('toggle', () => touch('seconds'));
}

export function drawSeconds() {
  if (!byId('seconds').open) return;
  const rows = model.rows
    .filter(({ gap }) => !gap)
    .slice(-SHOWN)
    .reverse();
  fillTable(
    byId('seconds-table'),
    'The last seconds',
    HEAD,
    rows,
    ({ at }) => at,
    (row) => {
      const all = row.rate.reduce((sum, one) => sum + one, 0);
      return [
        clock(row.at),
        number(all),
        number(all - row.rate[0]),
        ...[0, 1, 2].map((i) => seconds(row.latency?.[i])),
        percent(row.cold),
        count(row.active),
        count(row.queued),
        ...row.instances.map(count),
        number(row.cpu),
        seconds(row.lateness?.[1]),
      ];
    },
  );
}
