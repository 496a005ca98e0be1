import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLedgerWorld, type LedgerWorld } from './ledger.fixtures.ts';

let world: LedgerWorld;
beforeAll(async () => {
  world = await createLedgerWorld();
});
afterAll(() => world?.database.close());

describe('npm run ledger', () => {
  test('explains itself', async () => {
    const { code, out } = await world.ledger(['--help']);
    expect(code).toBe(0);
    expect(out).toContain('npm run ledger -- verify [--wallet ID] [--json]');
  });

  test.each([
    [[], 'A command is missing.'],
    [['audit'], 'Not understood: audit'],
    [['verify', 'all'], 'Not understood: verify all'],
    [['verify', '--fast'], "Unknown option '--fast'"],
    [['verify', '--dry-run'], '--dry-run does not belong to verify.'],
    [['verify', '--wallet', '12'], '--wallet needs the id of a wallet, a uuid.'],
  ])('refuses %j as misuse', async (args, message) => {
    const { code, out, err } = await world.ledger(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
  });

  test('names a wallet that it does not find', async () => {
    const walletId = randomUUID();
    for (const args of [['verify'], ['rebuild'], ['export', '--format', 'csv']]) {
      expect(await world.ledger([...args, '--wallet', walletId])).toEqual({
        code: 1,
        out: '',
        err: `There is no wallet ${walletId}.\n`,
      });
    }
  });

  test('names the variable that is missing', async () => {
    const { code, err } = await world.ledger(['verify'], {});
    expect(code).toBe(1);
    expect(err).toContain('DATABASE_URL is missing');
  });

  test('says that the database does not answer, without its address', async () => {
    const { code, out, err } = await world.ledger(['verify'], {
      DATABASE_URL: 'postgres://user:secret@127.0.0.1:1/none',
    });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('does not answer');
    expect(err).not.toMatch(/secret|127/);
  });
});
