// Light and dark, and the colours of the style sheet for what is drawn on a canvas.

import { byId } from './dom.js';
import { touchAll } from './painter.js';

// A canvas takes no `var(--…)`: an element resolves the colours of the theme.
let probe;
const colours = new Map();

/** The colour that a variable of the style sheet has in the theme that is shown. */
export function colour(name) {
  if (!colours.has(name)) {
    probe ??= byId('probe');
    probe.style.color = `var(--${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}

const THEMES = ['auto', 'light', 'dark'];
const KEY = 'hyperfake.theme';

function applyTheme(theme, button) {
  if (theme === 'auto') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', theme);
  button.textContent = `Theme: ${theme}`;
  colours.clear();
  touchAll();
}

/** Makes the button switch between the system's theme, light and dark, and remember it. */
export function startTheme(button) {
  let theme = 'auto';
  // A page of a file, or of a browser that keeps nothing, has no storage.
  try {
    theme = localStorage.getItem(KEY) ?? theme;
  } catch {
    /* The system's theme. */
  }
  if (!THEMES.includes(theme)) theme = 'auto';
  applyTheme(theme, button);
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      /* It holds until the page is closed. */
    }
    applyTheme(theme, button);
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => applyTheme(theme, button));
}
