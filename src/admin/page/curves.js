// Curves over time, by uPlot, with a legend of switches, marks for changes, and a cursor that keys move.

import { element, setAttribute, setText } from './dom.js';
import { clock, plain, short } from './format.js';
import { colour } from './theme.js';
import { FONT } from './painter.js';

const HEIGHT = 210;
/** Less space between grid lines than this, in pixels, is hard to read. */
const SPACE = { x: (_plot, _axis, from, to) => (to - from > 120 ? 44 : 64), y: 34 };

/** From zero, with some room above. */
export const fromZero = (least) => (_plot, _low, high) => [0, Math.max(least, (high ?? 0) * 1.08)];

/** Whole decades around the values. */
export function decades(_plot, low, high) {
  if (!(low > 0) || !(high > 0)) return [1e-3, 1];
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  return [10 ** first, 10 ** Math.max(last, first + 1)];
}

/** Times of day, with seconds where they differ. */
function times(_plot, splits, _axis, _space, step) {
  return splits.map((at) => (step < 60 ? clock(at) : clock(at).slice(0, 5)));
}

/** A value between two gaps is no line: these are drawn as points. */
function lonePoints(plot, index) {
  const values = plot.data[index];
  const [first, last] = plot.series[0].idxs;
  const lone = [];
  for (let i = first; i <= last; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) lone.push(i);
  }
  return lone;
}

export class Curves {
  /**
   * `series` have a label, a colour (a variable of the style sheet), a `text` function, and may have a scale, a dash
   * and a `fill` (opacity). `scales` have a range and may be logarithmic; `axes` have a scale, a label and a `text`
   * function. `marks` gives the changes to show, as moments in seconds with a text. Series that are `stacked` stand on
   * each other, the first at the bottom; of `sparse` ones, those that are zero all the time are not shown.
   */
  constructor(host, legend, { title, series, scales, axes, marks, stacked = false, sparse = false }) {
    this.host = host;
    this.series = series;
    this.marks = marks;
    this.isStacked = stacked;
    this.isSparse = sparse;
    this.hidden = new Set();
    this.window = [0, 1];
    this.data = [[], ...series.map(() => [])];
    this.chosen = null;
    this.items = series.map((one, i) => this.#legendItem(one, i));
    legend.append(...this.items.map(({ node }) => node));
    // A reader of the screen hears a slider along time: its value is what the curves say at that moment.
    setAttribute(host, 'role', 'slider');
    setAttribute(host, 'tabindex', '0');
    setAttribute(host, 'aria-label', `${title}: moment to read`);
    setAttribute(host, 'aria-valuemin', 0);
    host.addEventListener('keydown', (event) => this.#key(event));
    host.addEventListener('blur', () => this.#choose(null));
    this.options = this.#options(scales, axes);
    this.#values();
  }

  /** Shows these columns (moments first) between two moments. */
  draw(data, window) {
    this.data = data;
    this.window = window;
    const width = this.host.clientWidth;
    if (width === 0) return;
    if (this.isSparse) data = this.#dropZeros(data);
    if (this.isStacked) data = stack(data);
    if (!this.plot) {
      this.plot = new globalThis.uPlot({ ...this.options, width, height: HEIGHT }, data, this.host);
    } else {
      if (this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT });
      this.plot.setData(data);
    }
    this.#values();
  }

  /** The first series is always there: an idle worker has a line at zero. */
  #dropZeros([moments, ...columns]) {
    return [
      moments,
      ...columns.map((column, i) => {
        const isShown = i === 0 || column.some((value) => value > 0);
        this.items[i].node.hidden = !isShown;
        return isShown ? column : column.map(() => null);
      }),
    ];
  }

  #options(scales, axes) {
    const grid = { stroke: () => colour('faint'), width: 1 };
    const common = {
      font: FONT,
      labelFont: FONT,
      stroke: () => colour('quiet'),
      grid,
      ticks: { show: false },
    };
    const none = (v) => (v == null ? '' : v);
    return {
      scales: {
        x: { time: true, range: () => this.window },
        ...Object.fromEntries(scales.map(({ name, range, log }) => [name, { range, distr: log ? 3 : 1 }])),
      },
      axes: [
        { ...common, space: SPACE.x, size: 26, values: times },
        ...axes.map(({ scale, label, text, side }) => ({
          ...common,
          scale,
          label,
          side: side ?? 3,
          space: SPACE.y,
          size: 58,
          labelSize: 16,
          labelGap: 0,
          grid: side === undefined ? grid : { show: false },
          values: (_plot, splits) => splits.map((v) => none(v == null ? v : text(v))),
        })),
      ],
      series: [
        {},
        ...this.series.map((one) => ({
          scale: one.scale ?? scales[0].name,
          stroke: () => colour(one.colour),
          fill: one.fill ? () => faded(colour(one.colour), one.fill) : undefined,
          width: 1.5,
          dash: one.dash,
          points: { show: false, filter: lonePoints, size: 5, fill: () => colour(one.colour) },
        })),
      ],
      bands: this.isStacked ? this.series.slice(1).map((_, i) => ({ series: [i + 2, i + 1] })) : [],
      legend: { show: false },
      // Room for the last time of day, where there is no axis.
      padding: [8, axes.some(({ side }) => side === 1) ? 8 : 20, 0, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false, setScale: false },
        points: { size: 6 },
        sync: { key: 'time', setSeries: false },
      },
      hooks: { draw: [(plot) => this.#drawMarks(plot)], setCursor: [() => this.#values()] },
    };
  }

  #legendItem({ label, colour: name }, i) {
    const value = element('span');
    const swatch = element('span', { class: 'swatch' });
    swatch.style.background = `var(--${name})`;
    // What stands on a series that is hidden would stand on nothing.
    if (this.isStacked) return { node: element('li', {}, swatch, `${label} `, value), value };
    const button = element(
      'button',
      {
        type: 'button',
        'aria-pressed': 'true',
        onclick: () => {
          if (!this.hidden.delete(i)) this.hidden.add(i);
          const isShown = !this.hidden.has(i);
          setAttribute(button, 'aria-pressed', isShown);
          this.plot?.setSeries(i + 1, { show: isShown });
        },
      },
      swatch,
      `${label} `,
      value,
    );
    return { node: element('li', {}, button), value };
  }

  /** The legend says what holds at the cursor, or at the end. */
  #values() {
    const [moments] = this.data;
    const at = this.plot?.cursor.idx ?? this.chosen ?? moments.length - 1;
    this.series.forEach(({ text }, i) => setText(this.items[i].value, text(this.data[i + 1][at])));
    setAttribute(this.host, 'aria-valuemax', Math.max(0, moments.length - 1));
    setAttribute(this.host, 'aria-valuenow', Math.max(0, at));
    const said = this.series.map(({ label, text }, i) => `${label} ${text(this.data[i + 1][at])}`);
    setAttribute(
      this.host,
      'aria-valuetext',
      moments.length ? `${clock(moments[at])}: ${said.join(', ')}` : 'nothing yet',
    );
  }

  #key(event) {
    const last = this.data[0].length - 1;
    const at = this.chosen ?? last;
    const next = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      PageUp: at - 10,
      PageDown: at + 10,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === 'Escape') this.#choose(null);
    if (next === undefined || last < 0) return;
    event.preventDefault();
    this.#choose(Math.min(Math.max(next, 0), last));
  }

  #choose(index) {
    this.chosen = index;
    const left = index === null ? -10 : this.plot?.valToPos(this.data[0][index], 'x');
    this.plot?.setCursor({ left: Math.max(left ?? -10, index === null ? -10 : 0), top: 0 });
    this.#values();
  }

  /** A dashed line where something was changed, with its text as far as there is room. */
  #drawMarks(plot) {
    const { ctx: context, bbox } = plot;
    const density = devicePixelRatio || 1;
    context.save();
    context.beginPath();
    context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    context.clip();
    context.strokeStyle = context.fillStyle = colour('fault');
    context.lineWidth = density;
    context.setLineDash([4 * density, 3 * density]);
    context.font = `${10 * density}px system-ui, sans-serif`;
    context.textBaseline = 'top';
    context.textAlign = 'left';
    let free = -Infinity;
    for (const { at, text: whole } of this.marks()) {
      const text = short(plain(whole), 28);
      const x = Math.round(plot.valToPos(at, 'x', true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      context.beginPath();
      context.moveTo(x, bbox.top);
      context.lineTo(x, bbox.top + bbox.height);
      context.stroke();
      const width = context.measureText(text).width;
      const left = Math.min(x + 3 * density, bbox.left + bbox.width - width);
      if (left < free) continue;
      context.fillText(text, left, bbox.top + density);
      free = left + width + 6 * density;
    }
    context.restore();
  }
}

/** Each column with those before it added. */
function stack([moments, ...columns]) {
  const sums = moments.map(() => 0);
  return [
    moments,
    ...columns.map((column) => column.map((value, i) => (value == null ? null : (sums[i] += value)))),
  ];
}

/** The same colour, `rgb(…)` as browsers resolve it, with an opacity. */
function faded(resolved, opacity) {
  return resolved.replace(/^rgb\(([^)]*)\)$/, `rgba($1, ${opacity})`);
}
