import { BASE, styled } from './base.js';

/**
 * Shows the bank's 3-D Secure page over the page until it was answered. What the answer was, only
 * the intent says.
 *
 * @param {string} url
 * @returns {Promise<void>}
 */
export function challenge(url) {
  const frame = document.createElement('iframe');
  frame.title = '3D Secure 2 Test Page';
  frame.src = url;
  styled(frame, {
    width: 'min(30rem, 92vw)',
    height: 'min(18rem, 80vh)',
    border: '0',
    borderRadius: '12px',
    background: '#fff',
  });
  const overlay = document.createElement('div');
  overlay.setAttribute('role', 'dialog');
  overlay.setAttribute('aria-modal', 'true');
  overlay.setAttribute('aria-label', 'Card authentication');
  styled(overlay, {
    position: 'fixed',
    inset: '0',
    zIndex: '2147483647',
    display: 'grid',
    placeItems: 'center',
    background: 'rgb(10 15 30 / 60%)',
  });
  overlay.append(frame);
  const focusedBefore = document.activeElement;
  document.body.append(overlay);
  frame.focus();
  return new Promise((resolve) => {
    /** @param {MessageEvent} message */
    const listen = ({ source, origin, data }) => {
      if (source !== frame.contentWindow || origin !== BASE || data?.answered !== true) return;
      removeEventListener('message', listen);
      overlay.remove();
      if (focusedBefore instanceof HTMLElement) focusedBefore.focus();
      resolve();
    };
    addEventListener('message', listen);
  });
}
