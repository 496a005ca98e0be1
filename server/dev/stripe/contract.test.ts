/**
 * Holds what the stand-in answers against the SDK's own types: each object, as it travels, is
 * written as a literal of its type and compiled, so that a field that is missing, that Stripe does
 * not have, or that holds what it cannot hold, is an error.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type Stripe from 'stripe';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PUBLISHABLE_KEY, SECRET_KEY, startTestWorld, type TestWorld } from './test-world.ts';

const RETURN_URL = 'http://localhost/done';
const TYPES: Readonly<Record<string, string>> = {
  balance_transaction: 'Stripe.BalanceTransaction',
  charge: 'Stripe.Charge',
  customer: 'Stripe.Customer',
  customer_session: 'Stripe.CustomerSession',
  dispute: 'Stripe.Dispute',
  payment_intent: 'Stripe.PaymentIntent',
  payment_method: 'Stripe.PaymentMethod',
  'radar.early_fraud_warning': 'Stripe.Radar.EarlyFraudWarning',
  refund: 'Stripe.Refund',
  setup_intent: 'Stripe.SetupIntent',
};

interface Answer {
  readonly from: string;
  readonly body: Record<string, unknown> & { object?: string; type?: string; deleted?: boolean };
}

let world: TestWorld;
const answers: Answer[] = [];

/** A call as the SDK makes it; its body as it travelled. */
async function call(method: string, path: string, form: Record<string, string> = {}) {
  const params = new URLSearchParams(form);
  const response = await fetch(
    `${world.standIn.url}${path}${method === 'GET' && params.size > 0 ? `?${params}` : ''}`,
    {
      method,
      headers: { authorization: `Bearer ${SECRET_KEY}` },
      ...(method === 'POST' && { body: params }),
    },
  );
  const body = (await response.json()) as Answer['body'];
  answers.push({ from: `${method} ${path} ${response.status}`, body });
  return body as Answer['body'] & { id: string };
}

const PAY = {
  currency: 'usd',
  'automatic_payment_methods[enabled]': 'true',
  return_url: RETURN_URL,
};

async function pay(card: string, more: Record<string, string> = {}) {
  return call('POST', '/v1/payment_intents', {
    ...PAY,
    amount: '2500',
    confirm: 'true',
    payment_method: card,
    ...more,
  });
}

beforeAll(async () => {
  world = await startTestWorld();
  const { controls } = world.standIn;
  const customer = await call('POST', '/v1/customers', { email: 'jane@example.com' });
  await call('POST', `/v1/customers/${customer.id}`, { name: 'Jane' });
  const card = await call('POST', '/v1/payment_methods/pm_card_visa/attach', {
    customer: customer.id,
  });
  await call('POST', `/v1/payment_methods/${card.id}`, { 'card[exp_year]': '2040' });
  controls.renewCard(card.id);
  await call('POST', `/v1/payment_intents`, {
    amount: '700',
    currency: 'usd',
    customer: customer.id,
  });
  const paid = await pay(card.id, { customer: customer.id, 'expand[]': 'latest_charge' });
  await pay('pm_card_chargeDeclined');
  await pay('pm_card_authenticationRequired');
  const canceled = await call('POST', '/v1/payment_intents', { amount: '900', currency: 'usd' });
  await call('POST', `/v1/payment_intents/${canceled.id}/cancel`);
  const setup = { customer: customer.id, usage: 'off_session', return_url: RETURN_URL };
  await call('POST', '/v1/setup_intents', {
    ...setup,
    confirm: 'true',
    payment_method: 'pm_card_visa',
  });
  const declined = { confirm: 'true', payment_method: 'pm_card_chargeDeclined' };
  await call('POST', '/v1/setup_intents', { ...setup, ...declined });
  const asked = { confirm: 'true', payment_method: 'pm_card_authenticationRequired' };
  await call('POST', '/v1/setup_intents', { ...setup, ...asked });
  const begun = await call('POST', '/v1/setup_intents', { customer: customer.id });
  await call('POST', `/v1/setup_intents/${begun.id}/cancel`);
  await call('POST', '/v1/customer_sessions', {
    customer: customer.id,
    'components[payment_element][enabled]': 'true',
  });
  const charge = paid.latest_charge as { id: string };
  const refund = await call('POST', '/v1/refunds', { charge: charge.id, amount: '500' });
  controls.failRefund(refund.id);
  const slow = await pay('pm_card_pendingRefund');
  await call('POST', '/v1/refunds', { payment_intent: slow.id });
  const disputed = await pay('pm_card_visa');
  controls.warnOfFraud(String(disputed.latest_charge));
  const dispute = controls.disputeCharge(String(disputed.latest_charge));
  controls.closeDispute(dispute.id, 'won');
  const inquired = await pay('pm_card_visa');
  const inquiry = controls.disputeCharge(String(inquired.latest_charge), {
    status: 'warning_needs_response',
  });
  controls.escalateInquiry(inquiry.id);
  await call('POST', `/v1/disputes/${inquiry.id}`, { 'evidence[uncategorized_text]': 'Theirs.' });
  await call('POST', '/v1/customers', { planet: 'Mars' });
  for (const kind of [
    'customers',
    'payment_intents',
    'setup_intents',
    'charges',
    'refunds',
    'disputes',
    'balance_transactions',
    'radar/early_fraud_warnings',
    'events',
  ]) {
    const list = await call('GET', `/v1/${kind}`, { limit: '100' });
    for (const { id } of (list.data ?? []) as { id: string }[]) {
      await call('GET', `/v1/${kind}/${id}`);
    }
  }
  await call('GET', '/v1/payment_methods', { customer: customer.id });
  await call('POST', `/v1/payment_methods/${card.id}/detach`);
  await call('DELETE', `/v1/customers/${customer.id}`);
  const events = await call('GET', '/v1/events', { limit: '100' });
  for (const event of (events.data ?? []) as Answer['body'][]) {
    answers.push({ from: `event ${event.type}`, body: event });
  }
});
afterAll(() => world?.stop());

function typeOf({ from, body }: Answer): string {
  if ('error' in body) return '{ error: Stripe.StripeRawError }';
  if (body.object === 'event') return `Extract<Stripe.Event, { type: '${body.type}' }>`;
  if (body.object === 'list') {
    const [first] = body.data as Answer['body'][];
    const item = first === undefined ? 'never' : typeOf({ from, body: first });
    return `Stripe.ApiList<${first?.object === 'event' ? 'Stripe.Event' : item}>`;
  }
  if (body.object === 'customer' && body.deleted === true) return 'Stripe.DeletedCustomer';
  const type = TYPES[body.object ?? ''];
  if (type === undefined) throw new Error(`${from} answers an unknown object: ${body.object}`);
  return type;
}

/** What the compiler says of literals of the given types. */
function problemsOf(literals: readonly { name: string; type: string; value: unknown }[]): string[] {
  const path = resolve(import.meta.dirname, 'contract-of-the-stand-in.ts');
  const lines = literals.map(
    ({ type, value }, index) => `export const a${index}: ${type} = ${JSON.stringify(value)};`,
  );
  const source = ["import type Stripe from 'stripe';", ...lines].join('\n');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
  };
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile.bind(host);
  host.getSourceFile = (file, ...rest) =>
    resolve(file) === path
      ? ts.createSourceFile(file, source, ts.ScriptTarget.ES2022)
      : read(file, ...rest);
  const exists = host.fileExists.bind(host);
  host.fileExists = (file) => resolve(file) === path || exists(file);
  const program = ts.createProgram([path], options, host);
  const file = program.getSourceFile(path);
  return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
    ({ messageText, start = 0 }) => {
      const line = source.slice(0, start).split('\n').length - 2;
      const text = ts.flattenDiagnosticMessageText(messageText, '\n').slice(0, 600);
      return `${literals[line]?.name ?? 'the import'}: ${text}`;
    },
  );
}

const WELL_FORMED: Stripe.DeletedCustomer = { id: 'cus_1', object: 'customer', deleted: true };

/** What the stand-in's programs say of themselves: each first group that the pattern finds in them. */
function inSource(pattern: RegExp): string[] {
  const programs = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'));
  const found = programs.flatMap((text) =>
    [...text.matchAll(pattern)].map(([, name = '']) => name),
  );
  return [...new Set(found)].sort();
}

/** Answers to Stripe's own script in the browser, of which the SDK knows nothing. */
const BROWSER_ONLY = 'elements_session';

describe('what the stand-in answers', () => {
  it('has an example of every kind of object, of every event and of errors', () => {
    const kinds = new Set(answers.map(({ body }) => body.object ?? Object.keys(body).join()));
    const made = inSource(/\bobject: '([a-z_.]+)'/g).filter((kind) => kind !== BROWSER_ONLY);
    expect([...kinds].sort()).toEqual([...made, 'error'].sort());
    expect([...Object.keys(TYPES), 'event', 'list'].sort()).toEqual(made);
    const types = new Set(
      answers.flatMap(({ body }) => (body.object === 'event' ? body.type : [])),
    );
    expect([...types].sort()).toEqual(inSource(/\bemit\(\s*call,\s*'([a-z_.]+)'/g));
    expect(JSON.stringify(answers)).not.toContain(PUBLISHABLE_KEY);
  });

  it('is what the types of the SDK say, no field less and none more', { timeout: 120_000 }, () => {
    const literals = answers.map((answer) => ({
      name: answer.from,
      type: typeOf(answer),
      value: answer.body,
    }));
    expect(problemsOf(literals)).toEqual([]);
  });

  it('is checked by something that finds a missing, a wrong and an unknown field', {
    timeout: 120_000,
  }, () => {
    const type = 'Stripe.DeletedCustomer';
    const { deleted: _, ...missing } = WELL_FORMED;
    const found = problemsOf([
      { name: 'well formed', type, value: WELL_FORMED },
      { name: 'missing', type, value: missing },
      { name: 'wrong', type, value: { ...WELL_FORMED, deleted: 'yes' } },
      { name: 'unknown', type, value: { ...WELL_FORMED, balance: 0 } },
    ]);
    expect(found.map((problem) => problem.split(':')[0])).toEqual(['missing', 'wrong', 'unknown']);
  });
});
