import { BASE, integration, styled } from './base.js';

/**
 * @typedef {import('./types.ts').Handler} Handler
 * @typedef {{ configuration: () => object, onChange: () => void, onDestroy: () => void }} Owner
 */

/**
 * The page's side of the Payment Element: a frame of the stand-in's origin in which the card is
 * typed, and messages to and from it. Both sides check the other's window, origin and channel.
 */
export class PaymentElement {
  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  /** @type {Map<number, (result: any) => void>} */
  #waiting = new Map();
  /** What happened before anybody listened. @type {{ event: string, payload: unknown }[]} */
  #missed = [];
  #lastCall = 0;
  #channel = crypto.getRandomValues(new Uint32Array(4)).join('-');
  /** @type {HTMLIFrameElement | null} */
  #frame = null;
  #loaded = false;
  #owner;

  /** @param {Owner} owner */
  constructor(owner) {
    this.#owner = owner;
  }

  /** @param {string | HTMLElement} target */
  mount(target) {
    const parent = typeof target === 'string' ? document.querySelector(target) : target;
    integration(parent, `The selector you specified (${target}) applies to no DOM element.`);
    integration(this.#frame === null, 'This Element is already mounted.');
    const frame = document.createElement('iframe');
    const hash = JSON.stringify({ channel: this.#channel, origin: location.origin });
    frame.title = 'Secure payment input frame';
    frame.src = `${BASE}/endive/payment-element.html#${encodeURIComponent(hash)}`;
    styled(frame, {
      border: '0',
      display: 'block',
      width: 'calc(100% + 8px)',
      margin: '-4px',
      height: '1px',
      colorScheme: 'normal',
    });
    addEventListener('message', this.#listen);
    this.#frame = frame;
    parent.replaceChildren(frame);
    queueMicrotask(() => this.#emit('loaderstart', { elementType: 'payment' }));
  }

  unmount() {
    removeEventListener('message', this.#listen);
    this.#frame?.remove();
    this.#frame = null;
    this.#loaded = false;
    for (const answer of this.#waiting.values()) {
      answer({ error: { type: 'invalid_request_error', message: 'The Element was unmounted.' } });
    }
    this.#waiting.clear();
  }

  destroy() {
    this.unmount();
    this.#handlers.clear();
    this.#owner.onDestroy();
  }

  /** @param {object} change */
  update(change) {
    if (this.#loaded) void this.call('update', change);
    return this;
  }

  /** There is one payment method and no accordion, so there is nothing to fold. */
  collapse() {
    return this;
  }

  focus() {
    void this.call('focus', {});
  }

  blur() {
    this.#frame?.blur();
  }

  clear() {
    void this.call('clear', {});
  }

  /**
   * @param {string} event
   * @param {Handler} handler
   */
  on(event, handler) {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
    // Frameworks attach their handlers after mounting; what was told before is told now.
    const missed = this.#missed.filter((told) => told.event === event);
    this.#missed = this.#missed.filter((told) => told.event !== event);
    for (const { payload } of missed) queueMicrotask(() => handler(payload));
    return this;
  }

  /**
   * @param {string} event
   * @param {Handler} handler
   */
  once(event, handler) {
    /** @type {Handler} */
    const run = (payload) => {
      this.off(event, run);
      handler(payload);
    };
    return this.on(event, run);
  }

  /**
   * @param {string} event
   * @param {Handler} [handler]
   */
  off(event, handler) {
    if (handler) this.#handlers.get(event)?.delete(handler);
    else this.#handlers.delete(event);
    return this;
  }

  /**
   * Asks the frame. Not part of Stripe's interface.
   *
   * @param {string} method
   * @param {object} params
   * @returns {Promise<any>}
   */
  call(method, params) {
    const target = this.#loaded ? this.#frame?.contentWindow : null;
    integration(target, 'The Payment Element is not ready: wait for its `ready` event.');
    this.#lastCall += 1;
    const id = this.#lastCall;
    target.postMessage({ channel: this.#channel, id, method, params }, BASE);
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
    });
  }

  /**
   * @param {string} event
   * @param {unknown} payload
   */
  #emit(event, payload) {
    const handlers = this.#handlers.get(event);
    if (handlers?.size) for (const handler of [...handlers]) handler(payload);
    else if (event === 'ready' || event === 'loaderror') this.#missed.push({ event, payload });
  }

  /** @param {MessageEvent} message */
  #listen = ({ source, origin, data }) => {
    if (source !== this.#frame?.contentWindow || origin !== BASE) return;
    if (data?.channel !== this.#channel) return;
    if (data.id !== undefined) {
      this.#waiting.get(data.id)?.(data.result);
      this.#waiting.delete(data.id);
    } else if (data.event === 'loaded') {
      this.#loaded = true;
      void this.call('configure', this.#owner.configuration());
    } else if (data.event === 'height') {
      if (this.#frame) this.#frame.style.height = `${data.payload}px`;
    } else {
      if (data.event === 'change') this.#owner.onChange();
      this.#emit(data.event, data.payload);
    }
  };
}
