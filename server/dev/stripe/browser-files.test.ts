import { Script } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  brandOf,
  cvcError,
  expiryError,
  formatExpiry,
  formatNumber,
  numberError,
} from './browser/card-input.js';
import { startTestWorld, type TestWorld } from './test-world.ts';

let world: TestWorld;

beforeAll(async () => {
  world = await startTestWorld();
});
afterAll(() => world.stop());

describe('the browser files', () => {
  it('stripe.js is one plain script, without imports', async () => {
    const text = await (await fetch(`${world.standIn.url}/endive/stripe.js`)).text();
    expect(() => new Script(text)).not.toThrow();
  });

  it('frames may load nothing but their own files', async () => {
    const response = await fetch(`${world.standIn.url}/endive/payment-element.html`);
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
  });

  it('no file outside the list can be read', async () => {
    for (const path of ['../server.ts', '%2e%2e/server.ts', 'types.ts', 'constructor', '']) {
      const response = await fetch(`${world.standIn.url}/endive/${path}`);
      expect(response.status).toBe(404);
    }
  });
});

describe('card input', () => {
  it('groups digits as they stand on the card', () => {
    expect(formatNumber('4242424242424242')).toBe('4242 4242 4242 4242');
    expect(formatNumber('378282246310005')).toBe('3782 822463 10005');
    expect(formatNumber('4242-42x')).toBe('4242 42');
  });

  it('writes the expiration date as it is typed, and lets it be deleted', () => {
    expect(formatExpiry('12', '1')).toBe('12 / ');
    expect(formatExpiry('12 / 30', '12 / 3')).toBe('12 / 30');
    expect(formatExpiry('5', '')).toBe('05 / ');
    expect(formatExpiry('12 /', '12 / ')).toBe('12');
  });

  it('says what is wrong with each field', () => {
    const now = new Date('2026-11-23T12:00:00');
    expect(numberError('4242')?.code).toBe('incomplete_number');
    expect(numberError('4242424242424241')?.code).toBe('invalid_number');
    expect(numberError('4242 4242 4242 4242')).toBeNull();
    expect(expiryError('10 / 26', now)?.code).toBe('invalid_expiry_year_past');
    expect(expiryError('11 / 26', now)).toBeNull();
    expect(expiryError('13 / 26', now)?.code).toBe('incomplete_expiry');
    expect(cvcError('12', '4242')?.code).toBe('incomplete_cvc');
    expect(cvcError('1234', '378282246310005')).toBeNull();
    expect(brandOf('5555').brand).toBe('mastercard');
  });
});
