import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type * as packaged from 'prepaid-wallet/client';
import { beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import type * as source from './client.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What a service may write; nothing listens at that address. */
const PROGRAM = `
  import { createBillingClient } from 'prepaid-wallet/client';
  const billing = createBillingClient({ url: 'http://127.0.0.1:1', apiKey: 'sk_x', maxTries: 1 });
  const details = { segments: 1, referenceId: 'sms-1' };
  console.log(JSON.stringify(await billing.processCommunicationBilling('u1', 'sms', details)));
`;

describe("the package's client", () => {
  beforeAll(() => {
    // As the installation does it.
    execFileSync('npm', ['run', '--silent', 'prepare'], { cwd: ROOT });
  }, 60_000);

  it.each([
    ['plain node', []],
    ['tsx', ['--import', 'tsx']],
  ])(
    'is imported by its name in %s',
    (_name, options) => {
      const output = execFileSync(
        process.execPath,
        [...options, '--input-type=module', '--eval', PROGRAM],
        { cwd: ROOT, encoding: 'utf8' },
      );
      expect(JSON.parse(output)).toMatchObject({
        success: false,
        referenceId: 'sms-1',
        code: 'UNREACHABLE',
      });
    },
    60_000,
  );

  it('has the types of its source', () => {
    expectTypeOf<typeof packaged>().toEqualTypeOf<typeof source>();
    expectTypeOf<packaged.BillingClient>().toEqualTypeOf<source.BillingClient>();
  });
});
