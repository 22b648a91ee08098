// Making and changing elements. Text becomes a text node and is never parsed, whatever it contains.

import { plain } from './format.js';

export const byId = (id) => document.getElementById(id);

/** Makes an element. `attributes` may hold listeners, as functions called `on…`; children are nodes or texts. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

/** Sets a node's text if it differs: an unchanged text costs the browser nothing. */
export function setText(node, text) {
  const shown = plain(text);
  if (node.textContent !== shown) node.textContent = shown;
}

/** Sets an attribute if it differs. */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Sets a style property if it differs. A policy without inline styles allows this way and no other. */
export function setStyle(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

/**
 * Makes a parent's children those of a list of items, in its order: a child is made once for each key, moved when its
 * place changes, and removed with its item, so that the reader's focus survives. Children that stood there before stay
 * in front.
 */
export function reconcile(parent, items, key, make, update) {
  const nodes = (parent.nodesByKey ??= new Map());
  // Of two items with one key, the first counts: there is one node for them.
  const wanted = new Map();
  for (const item of items) if (!wanted.has(key(item))) wanted.set(key(item), item);
  for (const [id, node] of nodes) {
    if (wanted.has(id)) continue;
    node.remove();
    nodes.delete(id);
  }
  const ours = new Set(nodes.values());
  let next = parent.firstChild;
  while (next && !ours.has(next)) next = next.nextSibling;
  for (const [id, item] of wanted) {
    let node = nodes.get(id);
    if (!node) nodes.set(id, (node = make(item)));
    update(node, item);
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}

/** Shows a list as a table: `cells` gives the texts of an item's row, of which the first is its header. */
export function fillTable(table, caption, head, items, key, cells) {
  if (!table.tHead) {
    const titles = head.map((text) => element('th', { scope: 'col' }, text));
    table.append(
      element('caption', { class: 'spoken' }, caption),
      element('thead', {}, element('tr', {}, ...titles)),
      element('tbody'),
    );
  }
  reconcile(
    table.tBodies[0],
    items,
    key,
    () => {
      const row = element('tr', {}, element('th', { scope: 'row', class: 'name' }));
      for (let i = 1; i < head.length; i++) row.append(element('td'));
      return row;
    },
    (row, item) => cells(item).forEach((text, i) => setText(row.cells[i], text)),
  );
}

/** Lets a screen reader say a text. */
export function say(text) {
  setText(byId('spoken'), text);
}
