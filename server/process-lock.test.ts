import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock } from './process-lock.ts';

let directory: string;
let lock: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'prepaid-wallet-lock-'));
  lock = join(directory, 'lock');
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The content of a lock whose process has died. */
async function deadContent(): Promise<string> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  return `${child.pid} 1\n`;
}

const LOCK_MODULE = JSON.stringify(new URL('./process-lock.ts', import.meta.url).href);

const PROGRAM = `
  const { acquireLock } = await import(${LOCK_MODULE});
  const input = process.stdin[Symbol.asyncIterator]();
  console.log('ready');
  await input.next();
  console.log((await acquireLock(process.env.LOCK)).acquired);
  await input.next();`;

/** A process that takes the lock at a word, says whether it got it, and ends at the next word. */
async function taker(): Promise<{ take(): Promise<string>; end(): Promise<unknown> }> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', PROGRAM], {
    env: { ...process.env, LOCK: lock },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const said = async () => String((await once(child.stdout, 'data'))[0]).trim();
  expect(await said()).toBe('ready');
  return {
    take() {
      child.stdin.write('take');
      return said();
    },
    end() {
      child.stdin.end();
      return once(child, 'close');
    },
  };
}

describe('a lock file', () => {
  it('is refused while its process lives, and given back', async () => {
    const first = await acquireLock(lock);
    expect(await acquireLock(lock)).toEqual({ acquired: false, holderPid: process.pid });
    expect.assert(first.acquired);
    await first.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('of a process that has died is taken over, also when the last takeover died too', async () => {
    writeFileSync(lock, await deadContent());
    writeFileSync(`${lock}.takeover`, await deadContent());
    expect(await acquireLock(lock)).toMatchObject({ acquired: true });
    expect(readdirSync(directory)).toEqual(['lock']);
  });

  it('is not given back by who has lost it', async () => {
    const first = await acquireLock(lock);
    writeFileSync(lock, 'another');
    expect.assert(first.acquired);
    await first.release();
    expect(readdirSync(directory)).toEqual(['lock']);
  });

  it('of a process that has died is taken over by one of many that come at once', async () => {
    writeFileSync(lock, await deadContent());
    const takers = await Promise.all(Array.from({ length: 6 }, taker));
    const got = await Promise.all(takers.map(({ take }) => take()));
    await Promise.all(takers.map(({ end }) => end()));
    expect(got.toSorted()).toEqual(['false', 'false', 'false', 'false', 'false', 'true']);
  }, 60_000);
});
