const script = document.currentScript;
if (!(script instanceof HTMLScriptElement)) throw new Error('load stripe.js as a plain script');

/** Origin of the stand-in: every frame and every call of the API goes there. */
export const BASE = new URL(script.src).origin;

/** The page uses Stripe.js in a way that cannot work; thrown, as by the real script. */
export class IntegrationError extends Error {
  /** @override */
  name = 'IntegrationError';
}

/**
 * @param {unknown} condition
 * @param {string} message
 * @returns {asserts condition}
 */
export function integration(condition, message) {
  if (!condition) throw new IntegrationError(message);
}

/**
 * Styles through the CSSOM, because a page's style-src may forbid style attributes.
 *
 * @param {HTMLElement} node
 * @param {Partial<CSSStyleDeclaration>} style
 */
export function styled(node, style) {
  Object.assign(node.style, style);
  return node;
}
