import { integration } from './base.js';
import { PaymentElement } from './payment-element.js';
import { flatten } from './request.js';

/**
 * @typedef {import('./types.ts').ElementsOptions} ElementsOptions
 * @typedef {import('./types.ts').Collected} Collected
 * @typedef {import('./types.ts').Intent} Intent
 * @typedef {import('./types.ts').Params} Params
 * @typedef {import('./types.ts').StripeError} StripeError
 */

/** @param {ElementsOptions} options */
function checkOptions(options) {
  integration(
    !('paymentMethodTypes' in options || 'payment_method_types' in options),
    'paymentMethodTypes is no longer supported. Use allowedPaymentMethodTypes, or omit it to use the payment methods enabled in your Dashboard.',
  );
  if (options.clientSecret !== undefined) {
    integration(
      /^(pi|seti)_[A-Za-z0-9]+_secret_[A-Za-z0-9]+$/.test(options.clientSecret),
      'Invalid value for elements(): clientSecret should be that of an intent.',
    );
    return;
  }
  const { mode, amount, currency } = options;
  integration(
    mode === 'payment' || mode === 'setup',
    "Invalid value for elements(): mode should be 'payment' or 'setup', or give a clientSecret.",
  );
  if (mode !== 'payment') return;
  integration(
    Number.isInteger(amount) && Number(amount) > 0,
    'Invalid value for elements(): amount should be a positive integer in the minor unit.',
  );
  integration(
    /^[a-z]{3}$/.test(currency ?? ''),
    'Invalid value for elements(): currency should be a lower-case ISO code.',
  );
}

/** One group of Elements: here the Payment Element and what it was made for. */
export class Elements {
  #key;
  /** @type {ElementsOptions} */
  #options;
  /** @type {PaymentElement | null} */
  #element = null;
  #submitted = false;

  /**
   * @param {string} key
   * @param {ElementsOptions} options
   */
  constructor(key, options) {
    checkOptions(options);
    this.#key = key;
    this.#options = options;
  }

  get clientSecret() {
    return this.#options.clientSecret;
  }

  /** @param {string} type */
  create(type) {
    integration(type === 'payment', `The stand-in has no ${type} Element, only payment.`);
    integration(this.#element === null, 'Can only create one Element of type payment.');
    this.#element = new PaymentElement({
      configuration: () => this.#frameOptions(),
      onChange: () => {
        this.#submitted = false;
      },
      onDestroy: () => {
        this.#element = null;
      },
    });
    return this.#element;
  }

  #frameOptions() {
    const { appearance, customerSessionClientSecret, setupFutureUsage } = this.#options;
    return {
      key: this.#key,
      appearance: { theme: appearance?.theme, variables: { ...appearance?.variables } },
      customerSessionClientSecret,
      savingExpected: Boolean(setupFutureUsage),
    };
  }

  /** @param {string} type */
  getElement(type) {
    return type === 'payment' ? this.#element : null;
  }

  /** @param {ElementsOptions} change */
  update(change) {
    const next = { ...this.#options, ...change };
    checkOptions(next);
    this.#options = next;
    this.#element?.update(this.#frameOptions());
  }

  /** The form holds nothing that the server could have changed, so there is nothing to fetch. */
  async fetchUpdates() {
    return {};
  }

  /** Checks what was typed; mistakes are shown beside their fields and the first is returned. */
  async submit() {
    integration(this.#element, 'elements.submit() needs a mounted Payment Element.');
    const result = await this.#element.call('submit', {});
    this.#submitted = !result.error;
    return result.error ? { error: result.error } : { selectedPaymentMethod: 'card' };
  }

  /**
   * The payment method of what was typed or chosen.
   *
   * @param {Params} billingDetails
   * @returns {Promise<Collected>}
   */
  async collect(billingDetails) {
    integration(this.#element, 'Create and mount a Payment Element before you confirm.');
    integration(
      this.#submitted || this.#options.clientSecret !== undefined,
      'elements.submit() must be called before confirming when Elements were made without a clientSecret.',
    );
    const billing = Object.fromEntries(flatten({ billing_details: billingDetails }));
    return this.#element.call('createPaymentMethod', billing);
  }

  /**
   * Stripe refuses to confirm an intent that is not what the form was made for.
   *
   * @param {Intent} intent
   * @returns {StripeError | null}
   */
  mismatch(intent) {
    if (this.#options.clientSecret !== undefined) return null;
    const { mode, amount, currency, customerSessionClientSecret } = this.#options;
    // With a session the person decides whether to save, and may have tried another card before.
    const setupFutureUsage = customerSessionClientSecret
      ? (intent.setup_future_usage ?? null)
      : (this.#options.setupFutureUsage ?? null);
    const given = intent.object === 'payment_intent' ? 'payment' : 'setup';
    /** @type {[string, unknown, unknown][]} */
    const pairs = [['mode', mode, given]];
    if (given === 'payment') {
      pairs.push(
        ['amount', amount, intent.amount],
        ['currency', currency, intent.currency],
        ['setup_future_usage', setupFutureUsage, intent.setup_future_usage ?? null],
      );
    }
    const wrong = pairs.find(([, collected, configured]) => collected !== configured);
    if (!wrong) return null;
    const [name, collected, configured] = wrong;
    return {
      type: 'invalid_request_error',
      message: `Payment details were collected through Stripe Elements using ${name} "${collected}" and cannot be confirmed through the API configured with ${name} "${configured}".`,
    };
  }
}
