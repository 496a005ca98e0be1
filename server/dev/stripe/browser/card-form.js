import {
  brandOf,
  cvcError,
  digitsOf,
  expiryError,
  formatExpiry,
  formatNumber,
  numberError,
  parseExpiry,
} from './card-input.js';
import { countries } from './countries.js';

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the frame has no ${id}`);
  return found;
}

const number = byId('number', HTMLInputElement);
const expiry = byId('expiry', HTMLInputElement);
const cvc = byId('cvc', HTMLInputElement);
const country = byId('country', HTMLSelectElement);
const save = byId('save', HTMLInputElement);
const brand = byId('brand', HTMLElement);

/** @type {ReadonlyArray<{ input: HTMLInputElement, check: () => import('./card-input.js').InputError | null }>} */
const FIELDS = [
  { input: number, check: () => numberError(number.value) },
  { input: expiry, check: () => expiryError(expiry.value, new Date()) },
  { input: cvc, check: () => cvcError(cvc.value, number.value) },
];

/**
 * @param {HTMLInputElement} input
 * @param {import('./card-input.js').InputError | null} error
 */
function show(input, error) {
  byId(`${input.id}-error`, HTMLElement).textContent = error?.message ?? '';
  if (error) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}

/**
 * Wires the fields: formatting while typing, messages when a field is left in a wrong state.
 *
 * @param {() => void} onChange
 */
export function startCardForm(onChange) {
  for (const { code, name } of countries(document.documentElement.lang)) {
    country.add(new Option(name, code, code === 'US', code === 'US'));
  }
  let previousExpiry = '';
  number.addEventListener('input', () => {
    number.value = formatNumber(number.value);
    const found = brandOf(number.value).brand;
    brand.textContent = found === 'unknown' ? '' : found.toUpperCase();
  });
  expiry.addEventListener('input', () => {
    expiry.value = formatExpiry(expiry.value, previousExpiry);
    previousExpiry = expiry.value;
  });
  cvc.addEventListener('input', () => {
    cvc.value = digitsOf(cvc.value).slice(0, brandOf(number.value).cvcLength);
  });
  for (const { input, check } of FIELDS) {
    input.addEventListener('input', () => {
      show(input, null);
      onChange();
    });
    input.addEventListener('blur', () => show(input, input.value === '' ? null : check()));
  }
  country.addEventListener('change', onChange);
  save.addEventListener('change', onChange);
  byId('card', HTMLFormElement).addEventListener('submit', (event) => event.preventDefault());
}

/** Shows every mistake, moves to the first and returns it; null when the card can be sent. */
export function validate() {
  const wrong = FIELDS.map(({ input, check }) => ({ input, error: check() }));
  for (const { input, error } of wrong) show(input, error);
  const first = wrong.find(({ error }) => error !== null);
  first?.input.focus();
  return first?.error ?? null;
}

export function isComplete() {
  return FIELDS.every(({ check }) => check() === null);
}

export function isEmpty() {
  return FIELDS.every(({ input }) => input.value === '');
}

/** Whether the person asked to keep the card. */
export function wantsSaving() {
  return !byId('save-field', HTMLElement).hidden && save.checked;
}

/** Parameters of Stripe's API for the card as typed. */
export function cardParams() {
  const date = parseExpiry(expiry.value);
  return {
    type: 'card',
    'card[number]': digitsOf(number.value),
    'card[exp_month]': String(date?.month ?? ''),
    'card[exp_year]': String(date?.year ?? ''),
    'card[cvc]': cvc.value,
    'billing_details[address][country]': country.value,
  };
}

export function focusFirst() {
  number.focus();
}

export function clear() {
  for (const { input } of FIELDS) {
    input.value = '';
    show(input, null);
  }
  brand.textContent = '';
}
