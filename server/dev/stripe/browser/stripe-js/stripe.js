import { IntegrationError, integration } from './base.js';
import { challenge } from './challenge.js';
import { Elements } from './elements.js';
import { request } from './request.js';

/**
 * @typedef {import('./types.ts').ConfirmOptions} ConfirmOptions
 * @typedef {import('./types.ts').Intent} Intent
 * @typedef {import('./types.ts').Params} Params
 * @typedef {import('./types.ts').StripeError} StripeError
 * @typedef {{ paymentIntent?: Intent, setupIntent?: Intent, error?: StripeError }} Result
 */

/** @param {string} clientSecret */
function intentPath(clientSecret) {
  const [id = ''] = clientSecret.split('_secret_');
  return id.startsWith('seti_') ? `/v1/setup_intents/${id}` : `/v1/payment_intents/${id}`;
}

/**
 * @param {Intent} intent
 * @returns {Result}
 */
function asResult(intent) {
  return intent.object === 'setup_intent' ? { setupIntent: intent } : { paymentIntent: intent };
}

/**
 * Goes to the return URL as Stripe does; the promise stays open while the page is left.
 *
 * @param {string} returnUrl
 * @param {Intent} intent
 * @returns {Promise<never>}
 */
function leaveTo(returnUrl, intent) {
  const target = new URL(returnUrl, location.href);
  target.searchParams.set(intent.object, intent.id);
  target.searchParams.set(`${intent.object}_client_secret`, intent.client_secret);
  target.searchParams.set('redirect_status', 'succeeded');
  location.assign(target);
  return new Promise(() => {});
}

class StripeJs {
  #key;

  /** @param {string} key */
  constructor(key) {
    this.#key = key;
    // Callers may take the functions off the object, as they may with the real script.
    this.confirmPayment = this.confirmPayment.bind(this);
    this.confirmSetup = this.confirmPayment;
    this.confirmCardSetup = this.confirmCardPayment.bind(this);
  }

  /** @param {import('./types.ts').ElementsOptions} [options] */
  elements(options = {}) {
    return new Elements(this.#key, options);
  }

  /**
   * Makes a payment method of the card in the form, confirms the intent with it, and leads through
   * 3-D Secure. Declines and wrong input are returned as `error`, never thrown.
   *
   * @param {ConfirmOptions} options
   * @returns {Promise<Result>}
   */
  async confirmPayment(options) {
    const { elements, confirmParams = {}, redirect = 'always' } = options;
    const clientSecret = options.clientSecret ?? elements?.clientSecret;
    integration(clientSecret, 'Give a clientSecret, or Elements that were made with one.');
    const returnUrl = confirmParams.return_url;
    integration(
      redirect === 'if_required' || returnUrl !== undefined,
      "confirmParams.return_url is required unless redirect is 'if_required'.",
    );
    /** @type {import('./types.ts').Collected} */
    let collected = {};
    if (elements) {
      const billing = confirmParams.payment_method_data?.billing_details ?? {};
      collected = await elements.collect(billing);
      if (collected.error) return { error: collected.error };
      const intent = await this.#retrieve(clientSecret);
      const error = intent.error ?? elements.mismatch(intent);
      if (error) return { error };
    }
    const confirmed = await request(this.#key, 'POST', `${intentPath(clientSecret)}/confirm`, {
      client_secret: clientSecret,
      payment_method: collected.paymentMethod?.id ?? confirmParams.payment_method,
      return_url: returnUrl,
      setup_future_usage: clientSecret.startsWith('pi_') ? collected.setupFutureUsage : null,
      use_stripe_sdk: true,
    });
    const result = await this.#finish(confirmed);
    const intent = result.paymentIntent ?? result.setupIntent;
    if (redirect === 'if_required' || returnUrl === undefined || !intent) return result;
    return leaveTo(returnUrl, intent);
  }

  /**
   * @param {string} clientSecret
   * @param {{ payment_method?: unknown, return_url?: string }} [data]
   */
  confirmCardPayment(clientSecret, data = {}) {
    const { payment_method: method, return_url: returnUrl } = data;
    integration(
      typeof method === 'string',
      'The stand-in confirms a card by the id of its payment method.',
    );
    return this.confirmPayment({
      clientSecret,
      confirmParams: { payment_method: method, ...(returnUrl ? { return_url: returnUrl } : {}) },
      redirect: 'if_required',
    });
  }

  /** @param {string} clientSecret */
  async retrievePaymentIntent(clientSecret) {
    const intent = await this.#retrieve(clientSecret);
    return intent.error ? { error: intent.error } : asResult(intent);
  }

  /** @param {string} clientSecret */
  retrieveSetupIntent(clientSecret) {
    return this.retrievePaymentIntent(clientSecret);
  }

  /** @param {{ clientSecret: string }} options */
  async handleNextAction({ clientSecret }) {
    return this.#finish(await this.#retrieve(clientSecret));
  }

  /** @param {{ elements: Elements, params?: { billing_details?: Params } }} options */
  async createPaymentMethod({ elements, params }) {
    integration(elements instanceof Elements, 'createPaymentMethod() needs elements.');
    const { paymentMethod, error } = await elements.collect(params?.billing_details ?? {});
    return error ? { error } : { paymentMethod };
  }

  /** Stripe makes no tokens of a Payment Element, and there is no other Element here. */
  async createToken() {
    throw new IntegrationError(
      'Tokens cannot be made from a Payment Element; use createPaymentMethod.',
    );
  }

  /** Wrappers name themselves for Stripe's statistics; there are none here. */
  registerAppInfo() {}
  _registerWrapper() {}

  /**
   * @param {string} clientSecret
   * @returns {Promise<Intent & { error?: StripeError }>}
   */
  #retrieve(clientSecret) {
    const params = { client_secret: clientSecret };
    return request(this.#key, 'GET', intentPath(clientSecret), params);
  }

  /**
   * Leads through what the intent still asks for.
   *
   * @param {Intent & { error?: StripeError }} answered
   * @returns {Promise<Result>}
   */
  async #finish(answered) {
    if (answered.error) return { error: answered.error };
    let intent = answered;
    const action = intent.next_action?.use_stripe_sdk;
    if (intent.status === 'requires_action' && action) {
      await challenge(action.stripe_js);
      intent = await this.#retrieve(intent.client_secret);
      if (intent.error) return { error: intent.error };
    }
    const error = intent.last_payment_error ?? intent.last_setup_error;
    if (intent.status === 'requires_payment_method' && error) {
      return { error: { ...error, [intent.object]: intent } };
    }
    return asResult(intent);
  }
}

/** @param {string} key */
function createStripe(key) {
  integration(
    typeof key === 'string' && key.startsWith('pk_'),
    'Please call Stripe() with your publishable key, which starts with pk_.',
  );
  return new StripeJs(key);
}

Object.assign(window, { Stripe: Object.assign(createStripe, { version: 'endive' }) });
