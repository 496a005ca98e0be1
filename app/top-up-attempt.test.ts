import { describe, expect, it } from 'vitest';
import { type AttemptStorage, topUpAttempts } from './top-up-attempt.ts';

function storageInMemory(): AttemptStorage {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
  };
}

function attemptsIn(storage: AttemptStorage, walletId = 'wallet-1') {
  let made = 0;
  return topUpAttempts(walletId, storage, () => {
    made += 1;
    return `key-${made}`;
  });
}

describe('topUpAttempts', () => {
  it('gives a second press for the same amount the same key', () => {
    const attempts = attemptsIn(storageInMemory());
    expect(attempts.of('25.00').key).toBe('key-1');
    expect(attempts.of('25.00').key).toBe('key-1');
  });

  it('survives a reload of the page', () => {
    const storage = storageInMemory();
    const { key } = attemptsIn(storage).of('25.00');
    const afterReload = topUpAttempts('wallet-1', storage, () => 'another key');
    expect(afterReload.of('25.00').key).toBe(key);
  });

  it('starts a new attempt for another amount', () => {
    const attempts = attemptsIn(storageInMemory());
    attempts.of('25.00');
    attempts.started('top-up-1');
    expect(attempts.of('50.00')).toEqual({ key: 'key-2', amount: '50.00', topUpId: null });
  });

  it('starts anew once its top-up has ended', () => {
    const attempts = attemptsIn(storageInMemory());
    attempts.of('25.00');
    attempts.started('top-up-1');
    attempts.ended('top-up-1');
    expect(attempts.of('25.00').key).toBe('key-2');
  });

  it('is not ended by another top-up', () => {
    const attempts = attemptsIn(storageInMemory());
    attempts.of('25.00');
    attempts.started('top-up-2');
    attempts.ended('top-up-1');
    expect(attempts.of('25.00').key).toBe('key-1');
  });

  it('keeps the attempts of two wallets apart', () => {
    const storage = storageInMemory();
    attemptsIn(storage, 'wallet-1').of('25.00');
    expect(attemptsIn(storage, 'wallet-2').current()).toBeNull();
  });

  it('takes what it cannot read as no attempt', () => {
    const storage = storageInMemory();
    for (const text of ['{', 'null', '{"key":1}']) {
      storage.setItem('top-up-attempt:wallet-1', text);
      expect(attemptsIn(storage).current()).toBeNull();
    }
  });
});
