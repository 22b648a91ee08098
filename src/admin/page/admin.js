// Faults and the scenario: shown to every reader, changed when the worker was started with --admin.

import { byId, element, reconcile, say, setAttribute, setText } from './dom.js';
import { clock, count } from './format.js';
import { fetchJson } from './live.js';
import { model } from './model.js';
import { touch } from './painter.js';

/** A page of another origin cannot send this. */
const HEADERS = { 'HyperFake-Change': '1' };

/** The most changes that are listed. */
const MOST_CHANGES = 6;

const isAdmin = () => Boolean(model.state?.admin);
const change = (method, path, type, body) =>
  fetchJson(path, {
    method,
    headers: type ? { ...HEADERS, 'Content-Type': type } : HEADERS,
    body,
  });

/** Says how a change went, on the screen and aloud. */
function answer(kind, text) {
  setAttribute(byId('scenario-answer'), 'data-kind', kind);
  setText(byId('scenario-answer'), text);
}

/** The text that the worker gave last: what differs from it was typed by the reader. */
let given = null;

export function startAdmin() {
  const text = byId('scenario-text');
  const post = async (path, done) => {
    answer('', 'asking the worker');
    try {
      answer('good', done(await change('POST', path, 'application/yaml', text.value)));
      return true;
    } catch (error) {
      answer('bad', error.message);
      select(text, error.answer);
      return false;
    }
  };
  byId('scenario-check').addEventListener('click', () =>
    post('api/v1/scenario/check', () => 'The worker takes this scenario.'),
  );
  byId('scenario-apply').addEventListener('click', async () => {
    if (await post('api/v1/scenario', ({ name }) => `The scenario is now ${name}.`)) given = text.value;
  });
  byId('scenario-reload').addEventListener('click', () => {
    text.value = given ?? '';
    answer('', '');
  });
}

/** Selects the line of an error. */
function select(text, { line } = {}) {
  if (!line) return;
  const lines = text.value.split('\n');
  const begin = lines.slice(0, line - 1).reduce((all, one) => all + one.length + 1, 0);
  text.focus();
  text.setSelectionRange(begin, begin + (lines[line - 1]?.length ?? 0));
}

export function takeScenario(scenario) {
  model.scenario = scenario;
  const text = byId('scenario-text');
  if (given === null || text.value === given) text.value = scenario.text ?? '';
  given = scenario.text ?? '';
  touch('admin');
}

export function drawAdmin() {
  const { faults, marks, scenario } = model;
  const isChanging = isAdmin();
  byId('admin').hidden = !isChanging && faults.length === 0 && !scenario?.text && marks.length === 0;
  // The newest on top: the curves have room for few texts.
  const changes = marks.slice(-MOST_CHANGES).reverse();
  reconcile(
    byId('changes'),
    changes,
    ({ at, text }) => `${at} ${text}`,
    ({ at, text }) => {
      const line = element('li', { class: 'note' });
      setText(line, `${clock(at)} ${text}`);
      return line;
    },
    () => {},
  );
  setText(
    byId('admin-note'),
    isChanging || model.savedAt ? '' : 'To change them, start the worker with --admin',
  );
  byId('faults-empty').hidden = faults.length > 0;
  byId('scenario').hidden = !isChanging && !scenario?.text;
  byId('scenario-actions').hidden = !isChanging;
  byId('scenario-text').readOnly = !isChanging;
  setText(byId('scenario-label'), `Scenario: ${scenario?.name ?? model.state?.scenario?.name ?? 'plain'}`);
  reconcile(
    byId('faults'),
    faults,
    ({ name }) => name,
    makeFault,
    (node, fault) => {
      const [button, name, note] = node.children;
      setAttribute(button, 'aria-checked', fault.on);
      button.disabled = !isChanging;
      setText(button, fault.on ? 'on' : 'off');
      setText(name, fault.name);
      setText(note, `${fault.what}, fired ${count(fault.fired)} times`);
    },
  );
}

function makeFault({ name }) {
  const button = element('button', {
    type: 'button',
    role: 'switch',
    'aria-label': `Fault ${name}`,
    onclick: async () => {
      const on = button.getAttribute('aria-checked') !== 'true';
      try {
        const told = await change(
          'PATCH',
          `api/v1/faults/${encodeURIComponent(name)}`,
          'application/json',
          JSON.stringify({ on }),
        );
        model.faults = model.faults.map((fault) => (fault.name === name ? { ...fault, ...told } : fault));
        say(`fault ${name} is ${told.on ? 'on' : 'off'}`);
        touch('admin');
      } catch (error) {
        answer('bad', error.message);
      }
    },
  });
  return element('li', {}, button, element('strong'), element('span', { class: 'note' }));
}

/** A button that asks twice: what it does cannot be undone. */
function confirmed(text, path, done) {
  let isAsked = null;
  const button = element(
    'button',
    {
      type: 'button',
      onclick: async () => {
        if (!isAsked) {
          setText(button, `${text}: sure?`);
          isAsked = setTimeout(() => {
            isAsked = null;
            setText(button, text);
          }, 4_000);
          return;
        }
        clearTimeout(isAsked);
        button.disabled = true;
        try {
          await change('POST', path);
          say(done);
          setText(button, done);
        } catch (error) {
          setText(button, error.message);
        }
      },
    },
    text,
  );
  return button;
}

/** The buttons of an instance. */
export function instanceActions(id) {
  return isAdmin() ? [confirmed('Kill', `api/v1/instances/${encodeURIComponent(id)}/kill`, 'killed')] : [];
}

/** The buttons of a worker. */
export function workerActions(index) {
  return isAdmin() ? [confirmed('Drain', `api/v1/workers/${index}/drain`, 'takes no more calls')] : [];
}
