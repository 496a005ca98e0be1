import { describe, expect, it } from 'vitest';
import { violationsIn, zoneOf } from './import-rules.ts';

/** The parts of a small project that breaks no rule; a test adds the files that break one. */
const PROJECT: Record<string, string> = {
  'server/ledger/decide.ts': 'export const decide = 1;',
  'server/rating/rate.ts': 'export const rate = 1;',
  'server/store/charges.ts': 'export const charge = 1;',
  'server/billing/charging/charging.ts': 'export const charging = 1;',
  'server/trpc/router.ts': 'export const router = 1;',
  'server/inngest/serve.ts': 'export const serve = 1;',
  'server/stripe/gateway.ts': 'export const gateway = 1;',
  'server/http/app.ts': 'export const app = 1;',
  'server/http/load-context.ts': 'export interface LoadContext { ip: string }',
  'server/views/wallet.ts': 'export interface WalletView { id: string }',
  'server/client/client.ts': 'export const client = 1;',
  'server/cli/keys.ts': 'export const keys = 1;',
  'server/dev/stand-in.ts': 'export const standIn = 1;',
  'server/faults.ts': 'export const faults = 1;',
  'server/main.ts': 'export const main = 1;',
  'app/format.ts': 'export const format = 1;',
  'e2e/pages.spec.ts': 'export {};',
  'db/schema.sql': 'select 1;',
};

/** What is wrong with `text` as the file `path` of the small project. */
function problemsOf(path: string, text: string, more: Record<string, string> = {}): string[] {
  const files = new Map(Object.entries({ ...PROJECT, ...more, [path]: text }));
  return violationsIn(files).map((found) => `${found.path}:${found.line} ${found.problem}`);
}

/** An import from one file of the small project to another, by a relative path. */
function importOf(from: string, to: string): string {
  const up = '../'.repeat(from.split('/').length - 1);
  return `import { x } from '${up || './'}${to}';\nx();`;
}

describe('the direction of imports', () => {
  const FORBIDDEN: [from: string, to: string][] = [
    ['server/ledger/a.ts', 'server/billing/charging/charging.ts'],
    ['server/ledger/a.ts', 'server/store/charges.ts'],
    ['server/ledger/a.ts', 'server/faults.ts'],
    ['server/rating/a.ts', 'server/ledger/decide.ts'],
    ['server/rating/a.ts', 'server/billing/charging/charging.ts'],
    ['server/store/a.ts', 'server/billing/charging/charging.ts'],
    ['server/store/a.ts', 'server/faults.ts'],
    ['server/billing/a.ts', 'server/http/app.ts'],
    ['server/billing/a.ts', 'server/trpc/router.ts'],
    ['server/billing/a.ts', 'server/inngest/serve.ts'],
    ['server/billing/a.ts', 'server/cli/keys.ts'],
    ['server/stripe/a.ts', 'server/billing/charging/charging.ts'],
    ['server/trpc/a.ts', 'server/http/app.ts'],
    ['server/trpc/a.ts', 'server/inngest/serve.ts'],
    ['server/inngest/a.ts', 'server/http/app.ts'],
    ['server/inngest/a.ts', 'server/store/charges.ts'],
    ['server/http/a.ts', 'server/cli/keys.ts'],
    ['server/http/a.ts', 'server/ledger/decide.ts'],
    ['server/client/a.ts', 'server/billing/charging/charging.ts'],
    ['server/cli/a.ts', 'server/http/app.ts'],
    ['server/a.ts', 'server/http/app.ts'],
    ['server/views/a.ts', 'server/billing/charging/charging.ts'],
    ['server/store/a.ts', 'server/http/load-context.ts'],
    ['server/billing/a.ts', 'server/http/load-context.ts'],
    ['server/main.ts', 'server/cli/keys.ts'],
    ['server/http/a.ts', 'app/format.ts'],
    ['server/dev/a.ts', 'app/format.ts'],
    ['vite.config.ts', 'server/dev/stand-in.ts'],
  ];
  it.each(FORBIDDEN)('%s must not import %s', (from, to) => {
    const text = importOf(from, to);
    expect(problemsOf(from, text)).toEqual([
      expect.stringMatching(`^${from}:1 .+ must not import (${zoneOf(to)}|app/)$`),
    ]);
    expect(problemsOf(from, text.replace('import {', 'import type {'))).toHaveLength(1);
  });

  const TYPES_ONLY: [from: string, to: string][] = [
    ['server/store/a.ts', 'server/ledger/decide.ts'],
    ['server/store/a.ts', 'server/rating/rate.ts'],
    ['server/store/a.ts', 'server/views/wallet.ts'],
    ['server/billing/a.ts', 'server/views/wallet.ts'],
    ['server/billing/a.ts', 'server/stripe/gateway.ts'],
    ['server/trpc/a.ts', 'server/store/charges.ts'],
    ['server/inngest/a.ts', 'server/billing/charging/charging.ts'],
    ['server/http/a.ts', 'server/store/charges.ts'],
    ['server/client/a.ts', 'server/trpc/router.ts'],
    ['app/a.ts', 'server/http/load-context.ts'],
    ['app/a.ts', 'server/billing/charging/charging.ts'],
  ];
  it.each(TYPES_ONLY)('%s may import types, not values, from %s', (from, to) => {
    const text = importOf(from, to);
    const refused = [expect.stringContaining('except by `import type`')];
    expect(problemsOf(from, text)).toEqual(refused);
    // The compiler keeps this import at run time.
    expect(problemsOf(from, text.replace('{ x }', '{ type x }'))).toEqual(refused);
    expect(problemsOf(from, text.replace('import {', 'export {'))).toEqual(refused);
    expect(problemsOf(from, text.replace(/import .* from (.*);/, 'import($1);'))).toEqual(refused);
    expect(problemsOf(from, text.replace('import {', 'import type {'))).toEqual([]);
    expect(problemsOf(from, `type X = import('${/'(.*)'/.exec(text)?.[1]}').X;`)).toEqual([]);
  });

  const ALLOWED: [from: string, to: string][] = [
    ['server/billing/a.ts', 'server/ledger/decide.ts'],
    ['server/billing/a.ts', 'server/store/charges.ts'],
    ['server/trpc/a.ts', 'server/billing/charging/charging.ts'],
    ['server/http/a.ts', 'server/trpc/router.ts'],
    ['server/http/a.ts', 'server/stripe/gateway.ts'],
    ['server/main.ts', 'server/http/app.ts'],
    ['server/dev/a.ts', 'server/http/app.ts'],
    ['server/billing/a.test.ts', 'server/dev/stand-in.ts'],
    ['e2e/a.spec.ts', 'server/dev/stand-in.ts'],
  ];
  it.each(ALLOWED)('%s may import %s', (from, to) => {
    expect(problemsOf(from, importOf(from, to))).toEqual([]);
  });

  it('keeps stand-ins out of everything but the commands that are for development', () => {
    for (const from of ['server/main.ts', 'server/http/a.ts', 'server/cli/a.ts', 'app/a.ts']) {
      expect(problemsOf(from, importOf(from, 'server/dev/stand-in.ts'))).toHaveLength(1);
    }
    for (const from of ['server/cli/db-seed.ts', 'server/cli/db-schema.ts']) {
      expect(problemsOf(from, importOf(from, 'server/dev/stand-in.ts'))).toEqual([]);
    }
  });

  it('keeps test code out of what is shipped', () => {
    const fixtures = { 'server/rating/rate.fixtures.ts': 'export const x = 1;' };
    const text = "import { x } from './rate.fixtures.ts';\nx;";
    expect(problemsOf('server/rating/a.ts', text, fixtures)).toHaveLength(1);
    expect(problemsOf('server/rating/a.test.ts', text, fixtures)).toEqual([]);
  });

  it('asks for a rule when a new folder appears', () => {
    const text = importOf('server/sms/send.ts', 'server/faults.ts');
    expect(problemsOf('server/sms/send.ts', text)).toEqual([
      expect.stringContaining('no import rule yet'),
    ]);
  });
});

describe('what an import names', () => {
  it('is a file of the project, with its extension', () => {
    expect(problemsOf('server/ledger/a.ts', "import './decide';")).toHaveLength(1);
    expect(problemsOf('server/ledger/a.ts', "import './gone.ts';")).toHaveLength(1);
    expect(problemsOf('server/ledger/a.ts', "import './decide.ts';")).toEqual([]);
  });

  it('may carry a query for the bundler', () => {
    const style = { 'app/styles.css': 'body {}' };
    expect(problemsOf('app/a.ts', "import './styles.css?url';", style)).toEqual([]);
  });

  it('is never a file called index, nor one that only re-exports', () => {
    expect(problemsOf('app/components/index.ts', 'export const x = 1;')).toHaveLength(1);
    expect(problemsOf('app/all.ts', "export * from './format.ts';")).toHaveLength(1);
    expect(problemsOf('app/routes/_index.tsx', 'export default 1;')).toEqual([]);
  });

  it('never leads back to the file that imports it', () => {
    const more = {
      'app/b.ts': "import './c.ts';",
      'app/c.ts': "import './format.ts';\nexport { x } from './a.ts';\nexport const y = 1;",
    };
    expect(problemsOf('app/a.ts', "import './b.ts';", more)).toEqual([
      'app/a.ts:1 imports itself in a circle: app/a.ts → app/b.ts → app/c.ts → app/a.ts',
    ]);
    expect(problemsOf('app/a.ts', "import './a.ts';")).toHaveLength(1);
  });

  it('may lead back by types, which are gone at run time', () => {
    const more = { 'app/b.ts': "import './a.ts';" };
    expect(problemsOf('app/a.ts', "import type { X } from './b.ts';", more)).toEqual([]);
  });
});

describe('pure folders', () => {
  const IMPURE = [
    'export const at = Date.now();',
    'export const at = new Date();',
    'export const at = Date();',
    'const { now } = Date;',
    "Date['now']();",
    'export const luck = Math.random();',
    'const { random } = Math;',
    'crypto.randomUUID();',
    'globalThis.crypto;',
    'process.env.PORT;',
    "fetch('https://example.com');",
    'setTimeout(() => 1, 1);',
    'performance.now();',
    'console.log(1);',
    'const all = { process };',
  ];
  it.each(IMPURE)('refuse %s', (text) => {
    expect(problemsOf('server/ledger/a.ts', text)).toHaveLength(1);
    expect(problemsOf('server/rating/a.ts', text)).toHaveLength(1);
    expect(problemsOf('server/billing/a.ts', text)).toEqual([]);
    expect(problemsOf('server/ledger/a.test.ts', text)).toEqual([]);
  });

  const PURE = [
    'export const at = (micros: number) => new Date(micros);',
    'export const parse = (text: string) => Date.parse(text);',
    'export const is = (x: unknown) => x instanceof Date;',
    'export const larger = Math.max(1, 2);',
    'export interface Call { process: string; fetch(): Date }',
    'export const of = (call: { process: string }) => call.process;',
    'export const word = { console: 1 };',
  ];
  it.each(PURE)('accept %s', (text) => {
    expect(problemsOf('server/ledger/a.ts', text)).toEqual([]);
  });

  it('import no module that does I/O, and of node:crypto only the hash, in the ledger', () => {
    const of = (zone: string, text: string) => problemsOf(`server/${zone}/a.ts`, text).length;
    expect(of('ledger', "import { readFile } from 'node:fs';")).toBe(1);
    expect(of('rating', "import postgres from 'postgres';")).toBe(2);
    expect(of('ledger', "import { createHash, randomUUID } from 'node:crypto';")).toBe(1);
    expect(of('ledger', "import { randomUUID as createHash } from 'node:crypto';")).toBe(1);
    expect(of('ledger', "import * as crypto from 'node:crypto';")).toBe(1);
    expect(of('rating', "import { createHash } from 'node:crypto';")).toBe(1);
    expect(of('ledger', "import { createHash } from 'node:crypto';")).toBe(0);
    expect(of('rating', "import { z } from 'zod';")).toBe(0);
  });
});

describe('SQL', () => {
  const QUERIES = [
    'export const f = (sql: never) => sql`select 1`;',
    "export const f = 'select id from wallets where true';",
    "export const f = 'INSERT INTO wallets VALUES (1)';",
    'export const f = `update wallets set balance = 0`;',
    "export const f = 'delete from wallets';",
    "export const f = 'select charge_wallet()';",
    "import postgres from 'postgres';\npostgres();",
  ];
  it.each(QUERIES)('stands in the store alone: %s', (text) => {
    expect(problemsOf('server/billing/a.ts', text)).toHaveLength(1);
    expect(problemsOf('server/cli/a.ts', text)).toHaveLength(1);
    expect(problemsOf('app/a.ts', text)).toHaveLength(1);
    expect(problemsOf('server/store/a.ts', text)).toEqual([]);
    expect(problemsOf('server/billing/a.db.test.ts', text)).toEqual([]);
  });

  it('is not what a sentence says', () => {
    expect(problemsOf('app/a.ts', "export const say = 'Select a card from the list';")).toEqual([]);
  });

  it('is one call for one change: no transaction is driven from the program', () => {
    const text = 'export const f = (sql: never) => sql.begin(() => 1);';
    expect(problemsOf('server/store/a.ts', text)).toHaveLength(1);
    expect(problemsOf('server/dev/a.ts', text)).toEqual([]);
  });
});

describe('paths', () => {
  // Written in pieces, so that this file itself breaks no rule.
  const up = '../';
  const home = '/home';

  it('stay inside the repository, in sources, comments and documents', () => {
    expect(problemsOf('README.md', `See ${up}shared/data.`)).toHaveLength(1);
    expect(problemsOf('.ci/run', `cat ${up}${up}x`)).toHaveLength(1);
    expect(problemsOf('app/a.ts', `// as in ${up}${up}notes.md`)).toHaveLength(1);
    expect(problemsOf('docs/a.md', `See [it](${up}server/main.ts) and a/${up}b.`)).toEqual([]);
  });

  it('name no directory of one machine', () => {
    expect(problemsOf('docs/a.md', `cd ${home}/someone/wallet`)).toHaveLength(1);
    expect(problemsOf('docs/a.md', `https://example.com${home}/page`)).toEqual([]);
  });
});
