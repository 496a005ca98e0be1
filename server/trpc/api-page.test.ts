import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { appRouter, createCaller } from './router.ts';

const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8');

/** What the page's tables say of each procedure, in the order of the page. */
const rows = [
  ...page.matchAll(/^\| `(\w+\.\w+)`( \*\*R\*\*)? \| ?(.*) \| `(\w+:\w+)` \| (.+) \|$/gm),
].map(([, name = '', read, input = '', scope = '', answer = '']) => ({
  name,
  type: read === undefined ? 'mutation' : 'query',
  input,
  scope,
  answer,
}));

const procedures = Object.entries(
  appRouter._def.procedures as unknown as Record<
    string,
    { _def: { type: string; inputs?: unknown[] } }
  >,
);

// A caller whose key may do nothing: each procedure names the scope that it lacks.
const caller = createCaller({
  services: {} as never,
  requestId: 'request',
  apiKey: async () => ({ id: 'key', name: 'test', scopes: [], limiter: null }),
}) as unknown as Record<string, Record<string, () => Promise<unknown>>>;

/** The names of an input's fields, of each form that it may have. */
function fieldsOf(schema: z.core.JSONSchema.BaseSchema): string[] {
  const forms = (schema.anyOf ?? []) as z.core.JSONSchema.BaseSchema[];
  return [...Object.keys(schema.properties ?? {}), ...forms.flatMap(fieldsOf)];
}

test('the page on the API has every procedure of the router once, and no other', () => {
  expect(rows.map(({ name }) => name).sort()).toEqual(procedures.map(([name]) => name).sort());
});

test('it marks those that are read', () => {
  const types = Object.fromEntries(procedures.map(([name, { _def }]) => [name, _def.type]));
  expect(Object.fromEntries(rows.map(({ name, type }) => [name, type]))).toEqual(types);
});

test.each(rows)('it names the scope that $name asks for', async ({ name, scope }) => {
  const [area = '', procedure = ''] = name.split('.');
  await expect(caller[area]?.[procedure]?.()).rejects.toThrow(
    `This API key lacks the scope ${scope}.`,
  );
});

test.each(procedures)('it names every field of the input of %s', (name, { _def }) => {
  const documented = rows.find((row) => row.name === name)?.input ?? '';
  const words = documented.replace(/\bwallet\b/, 'walletId userId currency').match(/\w+/g) ?? [];
  const fields = (_def.inputs ?? []).flatMap((input) => {
    const schema = z.toJSONSchema(input as z.ZodType, { io: 'input', unrepresentable: 'any' });
    return fieldsOf(schema);
  });
  expect(words).toEqual(expect.arrayContaining(fields));
});
