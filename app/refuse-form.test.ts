import { expect, test } from 'vitest';
import { errorsOf, refuseForm, typedIn } from './refuse-form.server.ts';

test('what was typed is kept, but no password and no file', () => {
  const form = new FormData();
  form.set('amount', 'ten');
  form.set('currentPassword', 'correct horse');
  form.set('password', 'correct horse');
  form.set('file', new Blob(['a,b']), 'prices.csv');
  expect(typedIn(form)).toEqual({ amount: 'ten' });
});

test('every problem of a service stands at its field, and the message above all', async () => {
  const form = new FormData();
  form.set('intent', 'save');
  const refusal = { message: 'Nothing was changed.', problems: { amount: 'a', reason: undefined } };
  const response = refuseForm(form, errorsOf(refusal), { status: 422 });
  expect(response.status).toBe(422);
  expect(await response.json()).toEqual({
    refused: {
      intent: 'save',
      form: 'Nothing was changed.',
      fields: { amount: 'a' },
      typed: { intent: 'save' },
    },
  });
});
