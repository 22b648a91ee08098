// "Save this run": one HTML file that shows what the page shows, without a worker and without another file.

import { dump } from './model.js';

const STYLES = ['uplot.css', 'page.css'];
const LIBRARY = 'uplot.js';
/** Our modules; each stands behind those that it imports. */
const MODULES = [
  'format.js',
  'dom.js',
  'painter.js',
  'theme.js',
  'model.js',
  'curves.js',
  'tiles.js',
  'strip.js',
  'fleet.js',
  'scatter.js',
  'functions.js',
  'calls.js',
  'seconds.js',
  'live.js',
  'admin.js',
  'save.js',
  'page.js',
];

let sources = null;

/** Keeps the page's own files, so that a run can be saved after its worker has ended. The browser has them already. */
export function keepSources() {
  const names = ['.', LIBRARY, ...STYLES, ...MODULES];
  const read = async (name) => {
    const response = await fetch(name, { cache: 'force-cache' });
    if (!response.ok) throw new Error(`found status ${response.status} for ${name}, expected 200`);
    return [name, await response.text()];
  };
  sources = Promise.all(names.map(read)).then((files) => new Map(files));
  // Without its files the page works, but cannot be saved: `save` says so.
  sources.catch(() => {});
}

/** Hands the file to the browser, which asks where to or puts it among the downloads. */
export async function save() {
  let files;
  try {
    files = await sources;
  } catch {
    keepSources();
    files = await sources;
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([build(files, dump())], { type: 'text/html' }));
  link.download = `hyperfake-run-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.html`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * The text of the file: the page itself, with styles, scripts and data in place of links. Nothing in it runs but what
 * carries the number that is drawn here. It is joined as text: this page's policy holds for elements that it makes, too.
 */
function build(files, data) {
  const page = new DOMParser().parseFromString(files.get('.'), 'text/html');
  for (const node of page.querySelectorAll('noscript, link, script, meta[charset]')) node.remove();
  const nonce = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  const wrap = (tag, attributes, text) => `<${tag} ${attributes}>${text}</${tag}>\n`;
  const own = (tag, text) => {
    // These are the program's own files; a tag in one would end the element early.
    if (/<(?:\/s|!--)/i.test(text)) throw new Error(`found a tag in a ${tag}, expected none`);
    return wrap(tag, `nonce="${nonce}"`, text);
  };
  const saved = wrap('script', 'type="application/json" id="saved"', harmless(JSON.stringify(data)));
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
${page.head.innerHTML.trim()}
${STYLES.map((name) => own('style', files.get(name))).join('')}</head>
<body>
<noscript>This page draws its data with JavaScript.</noscript>
${page.body.innerHTML.trim()}
${saved}${own('script', files.get(LIBRARY))}${own('script', bundle(files))}</body>
</html>
`;
}

/** JSON that ends no element and begins no comment, whatever its texts are. */
function harmless(json) {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * All modules as one script: a page that was opened from a disk may load no other file. Each one is a function that
 * returns what it exports. Imports and exports are written in one way in these files: an import is one line, and an
 * export stands in front of a const, function or class.
 */
function bundle(files) {
  const modules = MODULES.map((name) => {
    const exported = [];
    const text = files
      .get(name)
      .replace(/^import (\{[^}]*\}) from '\.\/([^']*)';$/gm, "const $1 = modules['$2'];")
      .replace(/^export (async function|function|const|class) (\w+)/gm, (_, kind, symbol) => {
        exported.push(symbol);
        return `${kind} ${symbol}`;
      });
    return `modules['${name}'] = (() => {\n${text}\nreturn { ${exported.join(', ')} };\n})();`;
  });
  return `'use strict';\n{\nconst modules = {};\n${modules.join('\n')}\n}`;
}
