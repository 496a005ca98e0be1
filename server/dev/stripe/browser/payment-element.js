/**
 * The inside of the Payment Element's frame. Card data is typed here and goes straight to the
 * stand-in; the page around the frame gets the payment method that was made of it, never the
 * number or the security code.
 */
import {
  byId,
  cardParams,
  clear,
  focusFirst,
  isComplete,
  isEmpty,
  startCardForm,
  validate,
  wantsSaving,
} from './card-form.js';

/**
 * @typedef {{ id: string, brand: string, last4: string, exp_month: number, exp_year: number }} SavedCard
 * @typedef {{ payment_method_save: string, payment_method_save_usage: string | null, payment_method_remove: string }} Features
 * @typedef {{ key: string, customerSessionClientSecret?: string, savingExpected?: boolean, appearance?: { theme?: string, variables?: Record<string, string> } }} Options
 */

/** @type {{ channel: string, origin: string }} */
const { channel, origin } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const element = byId('element', HTMLElement);

/** @type {Options} */
let options = { key: '' };
/** @type {Features | null} */
let features = null;
/** Id of the chosen saved card; null while a new card is typed. @type {string | null} */
let chosen = null;

/** @param {Record<string, unknown>} message */
function tell(message) {
  parent.postMessage({ channel, ...message }, origin);
}

/**
 * @param {'GET' | 'POST'} method
 * @param {string} path
 * @param {Record<string, string>} params
 */
async function request(method, path, params) {
  const form = new URLSearchParams(params).toString();
  try {
    const response = await fetch(method === 'GET' ? `${path}?${form}` : path, {
      method,
      headers: { authorization: `Bearer ${options.key}` },
      ...(method === 'POST' ? { body: new URLSearchParams(params) } : {}),
    });
    return await response.json();
  } catch {
    return { error: { type: 'api_connection_error', message: 'Stripe could not be reached.' } };
  }
}

function tellChange() {
  tell({
    event: 'change',
    payload: {
      elementType: 'payment',
      collapsed: false,
      complete: chosen !== null || isComplete(),
      empty: chosen === null && isEmpty(),
      value: { type: 'card' },
    },
  });
}

const VARIABLES = {
  colorPrimary: '--color-primary',
  colorBackground: '--color-background',
  colorText: '--color-text',
  colorDanger: '--color-danger',
  borderRadius: '--border-radius',
  fontFamily: '--font-family',
  fontSizeBase: '--font-size',
};

/** @param {Options['appearance']} appearance */
function applyAppearance(appearance) {
  document.documentElement.classList.toggle('night', appearance?.theme === 'night');
  for (const [name, property] of Object.entries(VARIABLES)) {
    const value = appearance?.variables?.[name];
    if (value !== undefined) document.documentElement.style.setProperty(property, value);
  }
}

/** @param {string | null} id */
function choose(id) {
  chosen = id;
  byId('card', HTMLFormElement).hidden = id !== null;
  tellChange();
}

/**
 * @param {string} id
 * @param {string} text
 * @param {boolean} checked
 */
function choice(id, text, checked) {
  const row = document.createElement('div');
  row.className = 'saved-card';
  const radio = Object.assign(document.createElement('input'), {
    type: 'radio',
    name: 'method',
    id: `method-${id}`,
    checked,
  });
  radio.addEventListener('change', () => choose(id === 'new' ? null : id));
  const label = Object.assign(document.createElement('label'), {
    htmlFor: radio.id,
    textContent: text,
  });
  row.append(radio, label);
  return row;
}

/** @param {SavedCard} card */
function savedRow(card) {
  const expiry = `${String(card.exp_month).padStart(2, '0')}/${String(card.exp_year).slice(-2)}`;
  const text = `${card.brand.toUpperCase()} ending in ${card.last4}, expires ${expiry}`;
  const row = choice(card.id, text, false);
  if (features?.payment_method_remove !== 'enabled') return row;
  const remove = Object.assign(document.createElement('button'), {
    type: 'button',
    className: 'plain',
    textContent: 'Remove',
    ariaLabel: `Remove ${card.brand} ending in ${card.last4}`,
  });
  remove.addEventListener('click', async () => {
    const answer = await request('POST', `/v1/elements/payment_methods/${card.id}/detach`, {
      customer_session_client_secret: options.customerSessionClientSecret ?? '',
    });
    tell({
      event: 'savedpaymentmethodremove',
      payload: answer.error
        ? { elementType: 'payment', success: false, error: answer.error.message }
        : { elementType: 'payment', success: true, payment_method: { id: card.id } },
    });
    if (!answer.error) await load();
  });
  row.append(remove);
  return row;
}

/** Loads what the customer session allows, and shows it. */
async function load() {
  const secret = options.customerSessionClientSecret;
  const session = await request(
    'GET',
    '/v1/elements/sessions',
    secret ? { customer_session_client_secret: secret } : {},
  );
  if (session.error) return session.error;
  features = session.features;
  /** @type {SavedCard[]} */
  const cards = session.payment_methods;
  byId('save-field', HTMLElement).hidden = features?.payment_method_save !== 'enabled';
  byId('saved', HTMLElement).hidden = cards.length === 0;
  const list = byId('saved-list', HTMLElement);
  list.replaceChildren(...cards.map(savedRow), choice('new', 'New card', false));
  const first = list.querySelector('input');
  if (first) first.checked = true;
  choose(cards[0]?.id ?? null);
  return null;
}

/** What the page around the frame may ask for. @type {Record<string, (params: never) => unknown>} */
const METHODS = {
  /** @param {Options} given */
  async configure(given) {
    options = given;
    applyAppearance(given.appearance);
    const error = await load();
    if (error) {
      tell({ event: 'loaderror', payload: { elementType: 'payment', error } });
      return {};
    }
    element.hidden = false;
    tell({ event: 'ready', payload: { elementType: 'payment' } });
    return {};
  },
  /** @param {Partial<Options>} change */
  update(change) {
    options = { ...options, ...change };
    applyAppearance(options.appearance);
    return {};
  },
  submit() {
    const error = chosen === null ? validate() : null;
    return error ? { error: { ...error, type: 'validation_error' } } : {};
  },
  /** @param {Record<string, string>} billing */
  async createPaymentMethod(billing) {
    if (chosen !== null) return { paymentMethod: { id: chosen } };
    const error = validate();
    if (error) return { error: { ...error, type: 'validation_error' } };
    const save = wantsSaving();
    const redisplay = save ? 'always' : options.savingExpected ? 'limited' : 'unspecified';
    const answer = await request('POST', '/v1/payment_methods', {
      ...cardParams(),
      ...billing,
      allow_redisplay: redisplay,
    });
    if (answer.error) return { error: answer.error };
    const usage = save ? (features?.payment_method_save_usage ?? 'on_session') : null;
    return { paymentMethod: answer, setupFutureUsage: usage };
  },
  focus() {
    focusFirst();
    return {};
  },
  clear() {
    clear();
    return {};
  },
};

addEventListener('message', async ({ source, origin: from, data }) => {
  if (source !== parent || from !== origin || data?.channel !== channel) return;
  const method = METHODS[data.method];
  if (method) tell({ id: data.id, result: await method(/** @type {never} */ (data.params)) });
});
addEventListener('focusin', () => tell({ event: 'focus', payload: { elementType: 'payment' } }));
addEventListener('blur', () => tell({ event: 'blur', payload: { elementType: 'payment' } }));
addEventListener('keydown', ({ key }) => {
  if (key === 'Escape') tell({ event: 'escape', payload: { elementType: 'payment' } });
});
new ResizeObserver(() => tell({ event: 'height', payload: document.body.offsetHeight })).observe(
  document.body,
);
startCardForm(tellChange);
tell({ event: 'loaded' });
