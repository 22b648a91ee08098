// The connection: the stream of snapshots, with a growing wait after each failure, and the pages that it announces.

import { model, takeSnapshot, takeState } from './model.js';

const STREAM = 'api/v1/stream';
/** The first and the longest wait before the stream is opened again, in seconds. */
const WAIT = { first: 1, longest: 10 };
/** A stream that says nothing for so many seconds is gone, whatever the browser thinks. */
const SILENCE = 6;
/** After so many seconds without a snapshot, the state tells what was missed. */
const MISSED = 5;
/** The most snapshots that are kept while the page is paused. */
const MOST_PAUSED = 900;

/** Fetches JSON; an error has the server's own words. */
export async function fetchJson(path, options) {
  const response = await fetch(path, { cache: 'no-store', ...options });
  const isJson = response.headers.get('content-type')?.includes('json');
  const answer = isJson ? await response.json() : null;
  if (!response.ok) {
    const error = new Error(answer?.error ?? `found status ${response.status} for ${path}, expected 200`);
    throw Object.assign(error, { answer });
  }
  return answer;
}

/** Follows the worker until the page is closed. */
export class Live {
  /** `changed` is called with the names of what changed; `told` with the connection's state and a text for people. */
  constructor({ changed, told }) {
    this.changed = changed;
    this.told = told;
    this.wait = WAIT.first;
    this.isPaused = false;
    this.pending = [];
    this.heard = 0;
    this.pages = [];
    setInterval(() => this.#watch(), 1_000);
    this.#open();
  }

  /** Stops taking snapshots; they are kept and taken when the page goes on. */
  pause(isPaused) {
    this.isPaused = isPaused;
    if (isPaused) {
      this.told('paused', '');
      return;
    }
    const pending = this.pending.splice(0);
    for (const snapshot of pending) this.#take(snapshot);
    this.told(this.source ? 'live' : 'lost', 'The worker does not answer.');
  }

  /** Fetches a page when its version changed; `pause` gives the least time between two requests for it, in seconds. */
  addPage(path, version, pause, take) {
    this.pages.push({ path, version, pause, take, has: null, run: null, last: 0 });
  }

  #open() {
    this.opened = Date.now();
    const source = (this.source = new EventSource(STREAM));
    source.addEventListener('snapshot', (event) => {
      this.heard = Date.now();
      this.wait = WAIT.first;
      this.#receive(JSON.parse(event.data));
    });
    source.addEventListener('error', () => this.#fail(source));
  }

  #fail(source) {
    // The browser would try again by itself, but without a growing wait, and not after each kind of failure.
    source.close();
    if (this.source !== source) return;
    this.source = null;
    const { wait } = this;
    this.told('lost', `The worker does not answer; trying again in ${wait} s.`);
    setTimeout(() => this.#open(), wait * (900 + Math.random() * 200));
    this.wait = Math.min(wait * 2, WAIT.longest);
    if (this.heard < this.opened) this.#askWhy(wait);
  }

  /** An EventSource does not tell why it failed: a worker that is healthy refused the stream. */
  async #askWhy(wait) {
    const isHealthy = await fetch('healthz', { cache: 'no-store' }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (!isHealthy || this.source) return;
    this.told(
      'lost',
      `The worker has no place for another page: at most 16 read its stream. Trying again in ${wait} s.`,
    );
  }

  #watch() {
    const silent = (Date.now() - Math.max(this.heard, this.opened)) / 1e3;
    if (this.source && silent > SILENCE) this.#fail(this.source);
    this.#fetchPages();
  }

  #receive(snapshot) {
    if (!this.isPaused) {
      this.#take(snapshot);
      return;
    }
    this.told('paused', '');
    this.pending.push(snapshot);
    if (this.pending.length > MOST_PAUSED) this.pending.shift();
  }

  async #take(snapshot) {
    const last = model.snapshot;
    const isKnown = model.state?.run === snapshot.run && last && snapshot.at - last.at <= MISSED;
    if (!isKnown) {
      // The state is asked for once, whatever comes meanwhile: it contains what came.
      if (this.isAsking) return;
      this.isAsking = true;
      try {
        takeState(await fetchJson('api/v1/state'));
        this.changed('state');
      } catch (error) {
        this.told('lost', `The worker did not tell its state: ${error.message}`);
        return;
      } finally {
        this.isAsking = false;
      }
    }
    if (model.state.run === snapshot.run) takeSnapshot(snapshot);
    this.told('live', '');
    this.changed('snapshot');
    this.#fetchPages();
  }

  #fetchPages() {
    if (!model.snapshot || !this.source || this.isPaused || document.hidden) return;
    const now = Date.now();
    for (const page of this.pages) {
      const version = page.version(model.snapshot);
      const isNew = page.has !== version || page.run !== model.state.run;
      if (!isNew || now < page.last + page.pause() * 1e3) continue;
      Object.assign(page, { has: version, run: model.state.run, last: now });
      fetchJson(page.path)
        .then((answer) => {
          // An answer of an earlier run says nothing of this one.
          if (page.run === model.state.run) page.take(answer);
        })
        .catch(() => {
          page.has = null;
        });
    }
  }
}
