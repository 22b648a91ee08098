// Numbers as people read them. Each function takes a number, or nothing when it is not known, and gives text.

export const NONE = '–';

const isKnown = (n) => typeof n === 'number' && Number.isFinite(n);
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

/** An integer, with groups of three digits. */
export function count(n) {
  return isKnown(n) ? grouped(Math.round(n)) : NONE;
}

/** Three significant digits, and every digit in front of the point. */
function digits(n) {
  const size = Math.abs(n);
  if (size >= 999.5) return grouped(Math.round(n));
  return size < 0.001 ? n.toExponential(1) : n.toPrecision(3);
}

/** The same, and an integer as it is. */
export function number(n) {
  if (!isKnown(n)) return NONE;
  return Number.isInteger(n) ? grouped(n) : digits(n);
}

/** The largest unit that leaves a number of at least one. */
function scaled(n, units) {
  if (!isKnown(n)) return NONE;
  if (n === 0) return `0 ${units.zero}`;
  // What would be rounded to 1000 of a unit is one of the next.
  const [factor, name] = units.steps.findLast(([step]) => Math.abs(n) >= step * 0.9995) ?? units.steps[0];
  return `${digits(n / factor)} ${name}`;
}

const TIMES = {
  zero: 's',
  steps: [
    [1e-9, 'ns'],
    [1e-6, 'µs'],
    [1e-3, 'ms'],
    [1, 's'],
  ],
};
const SIZES = {
  zero: 'B',
  steps: [
    [1, 'B'],
    [1e3, 'kB'],
    [1e6, 'MB'],
    [1e9, 'GB'],
    [1e12, 'TB'],
  ],
};

/** A duration in seconds. */
export const seconds = (s) => scaled(s, TIMES);

/** A size in bytes. */
export const bytes = (b) => (isKnown(b) && Math.abs(b) < 999.5 ? `${Math.round(b)} B` : scaled(b, SIZES));

/** A share from 0 to 1. */
export function percent(share) {
  if (!isKnown(share)) return NONE;
  const value = share * 100;
  return `${value === 0 || value >= 99.95 ? Math.round(value) : value.toPrecision(value < 10 ? 2 : 3)} %`;
}

/** A long time in seconds, in its two largest units. */
export function span(s) {
  if (!isKnown(s)) return NONE;
  const units = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const whole = Math.max(0, Math.floor(s));
  const first = Math.max(
    0,
    units.findIndex(([size]) => whole >= size),
  );
  if (whole < 60) return `${whole} s`;
  const [[large, name], [small, rest]] = [units[first], units[first + 1]];
  return `${Math.floor(whole / large)} ${name} ${Math.floor((whole % large) / small)} ${rest}`;
}

/** The time of day of a moment in seconds since 1970, in the reader's zone. */
export function clock(s) {
  return isKnown(s) ? new Date(s * 1e3).toLocaleTimeString('en-GB') : NONE;
}

/** A number of an axis: without zeros at its end. */
export function tick(text) {
  return text.replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '');
}

/** What turns text around or is not seen would mislead: it is shown as a mark. */
export function plain(text) {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '\uFFFD');
}

/** The end of a long text is what tells names apart, and so is the begin: the middle goes. */
export function short(text, most = 40) {
  const letters = [...text];
  if (letters.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${letters.slice(0, most - 1 - half).join('')}…${letters.slice(-half).join('')}`;
}
