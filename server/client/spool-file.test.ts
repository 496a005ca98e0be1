import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BillingError } from './errors.ts';
import { openSpoolFile, type SpoolFile } from './spool-file.ts';

let directory: string;
let path: string;
let opened: SpoolFile | null = null;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'prepaid-wallet-spool-'));
  path = join(directory, 'deeper', 'charges');
});
afterEach(async () => {
  await opened?.close();
  opened = null;
  rmSync(directory, { recursive: true });
});

async function reopen(): Promise<SpoolFile> {
  await opened?.close();
  opened = await openSpoolFile(path);
  return opened;
}

const line = (name: string) => JSON.stringify({ name });
const texts = async (spool: SpoolFile) => (await spool.read(1_000)).map(({ text }) => text);

describe('a spool file', () => {
  it('gives lines back in their order, also to the next process, until they are settled', async () => {
    let spool = await reopen();
    await Promise.all(['a', 'b', 'c'].map((name) => spool.append(line(name))));
    spool = await reopen();
    expect(await texts(spool)).toEqual([line('a'), line('b'), line('c')]);
    await spool.settle((await spool.read(2)).slice(0, 2));
    expect([spool.waiting, await texts(spool)]).toEqual([1, [line('c')]]);
    spool = await reopen();
    expect([spool.waiting, await texts(spool)]).toEqual([1, [line('c')]]);
  });

  it('is empty again when all of it is settled', async () => {
    const spool = await reopen();
    await spool.append(line('a'));
    await spool.settle(await spool.read(10));
    expect([statSync(path).size, statSync(`${path}.done`).size]).toEqual([0, 0]);
    await spool.append(line('b'));
    expect(await texts(await reopen())).toEqual([line('b')]);
  });

  it('can be read by its owner alone', async () => {
    writeFileSync(join(directory, 'open'), '', { mode: 0o666 });
    path = join(directory, 'open');
    await reopen();
    for (const name of [path, `${path}.done`, `${path}.rejected`]) {
      expect(statSync(name).mode & 0o777).toBe(0o600);
    }
  });

  it('loses no earlier line, wherever a crash tears the last one', async () => {
    let spool = await reopen();
    await spool.append(line('first'));
    await spool.append(line('second ü'));
    await spool.close();
    opened = null;
    const whole = readFileSync(path);
    const firstEnds = whole.indexOf('\n') + 1;
    for (let cut = firstEnds; cut <= whole.length; cut += 1) {
      writeFileSync(path, whole.subarray(0, cut));
      spool = await reopen();
      // Whole but for its line end, it is kept.
      const kept = cut >= whole.length - 1 ? [line('second ü')] : [];
      expect(await texts(spool), `cut at ${cut}`).toEqual([line('first'), ...kept]);
      await spool.append(line('later'));
      expect(await texts(await reopen())).toEqual([line('first'), ...kept, line('later')]);
    }
  });

  it('sends lines again rather than lose them, whatever its records of settled ones say', async () => {
    let spool = await reopen();
    await spool.append(line('first'));
    await spool.append(line('second'));
    for (const records of [
      '{"settledBytes":999}\n',
      '{"settledBytes":3}\n',
      '{"settledBytes":-5}\n',
      '{"settledBytes":"17"}\n',
      '{"settled',
      'x\n',
      '\0\0\0\n',
    ]) {
      await spool.close();
      opened = null;
      writeFileSync(`${path}.done`, records);
      spool = await reopen();
      expect(await texts(spool), records).toEqual([line('first'), line('second')]);
      // A record of other lines must not count later, when these have grown past it.
      await Promise.all(Array.from({ length: 60 }, (_, index) => spool.append(line(`${index}`))));
      expect(await texts(await reopen())).toHaveLength(62);
      spool = opened as unknown as SpoolFile;
      await spool.settle(await spool.read(1_000));
      await spool.append(line('first'));
      await spool.append(line('second'));
    }
  });

  it('takes lines longer than it reads at once', async () => {
    const long = line('x'.repeat(200_000));
    const spool = await reopen();
    await Promise.all([line('a'), long, line('b')].map((text) => spool.append(text)));
    expect(await texts(spool)).toEqual([line('a'), long, line('b')]);
    expect(await texts(await reopen())).toEqual([line('a'), long, line('b')]);
  });

  it('belongs to one at a time', async () => {
    const spool = await reopen();
    const second = await openSpoolFile(path).catch((error: unknown) => error);
    expect(second).toBeInstanceOf(BillingError);
    expect(second).toMatchObject({
      code: 'SPOOL_FAILED',
      message: `The spool cannot be used: the process ${process.pid} uses it.`,
    });
    await spool.append(line('a'));
    expect(await texts(await reopen())).toEqual([line('a')]);
  });

  it('says which way the disk failed', async () => {
    writeFileSync(join(directory, 'file'), '');
    await expect(openSpoolFile(join(directory, 'file', 'charges'))).rejects.toMatchObject({
      code: 'SPOOL_FAILED',
      message: expect.stringMatching(/: (?:ENOTDIR|EEXIST)\.$/),
    });
  });
});
