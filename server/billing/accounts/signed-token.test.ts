import { expect, test } from 'vitest';
import { tokenSigner } from './signed-token.ts';

const signer = tokenSigner('a secret', 'a purpose');

test('a token names what was signed, for its own secret and purpose alone', () => {
  const token = signer.sign('a name.with dots');
  expect(signer.read(token)).toBe('a name.with dots');
  expect(tokenSigner('another secret', 'a purpose').read(token)).toBeNull();
  expect(tokenSigner('a secret', 'another purpose').read(token)).toBeNull();
});

test('no other letter may stand anywhere in a token, the last one included', () => {
  const token = signer.sign('name');
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (const letter of letters) {
    const forged = token.slice(0, -1) + letter;
    expect(signer.read(forged)).toBe(forged === token ? 'name' : null);
  }
  expect(signer.read(token.slice(0, -1))).toBeNull();
  expect(signer.read(`${token}x`)).toBeNull();
  expect(signer.read('')).toBeNull();
});
