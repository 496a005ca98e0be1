import type Stripe from 'stripe';
import type { ApiAnswer } from './api.ts';
import type { World } from './call.ts';
import { runCommand, type StripeControls } from './controls.ts';
import { formatAmount } from './currencies.ts';
import { ApiError } from './errors.ts';
import type { Delivery } from './store.ts';

const ROWS = 30;

const STYLE = `
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1a1f36; background: #f6f9fc; }
  h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
  table { border-collapse: collapse; width: 100%; background: #fff; border-radius: 8px; box-shadow: 0 1px 3px #0002; }
  th, td { text-align: left; padding: .5rem .75rem; border-bottom: 1px solid #e3e8ee; vertical-align: top; }
  code { font-size: .85em; } form { display: inline; }
  td:first-child { white-space: nowrap; } button { font: inherit; padding: .2rem .6rem; border: 1px solid #c1c9d2; border-radius: 6px; background: #fff; cursor: pointer; }
  .good { color: #0b6e4f; } .bad { color: #a41c4e; } .muted { color: #4f566b; }
`;

function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}

/** A button that runs a control command with string arguments. */
function button(label: string, command: string, fields: Record<string, string>): string {
  const inputs = Object.entries(fields).map(
    ([name, value]) =>
      `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  );
  return `<form method="post" action="/run/${command}">${inputs.join('')}<button>${escapeHtml(label)}</button></form>`;
}

function time(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('T', ' ').slice(0, 19);
}

function chargeActions(world: World, intent: Stripe.PaymentIntent): string {
  const charge =
    typeof intent.latest_charge === 'string'
      ? world.store.get('charge', intent.latest_charge)
      : undefined;
  if (!charge?.paid) return '';
  const actions: string[] = [];
  if (!charge.disputed) {
    actions.push(button('Dispute this', 'dispute-charge', { charge: charge.id }));
    if (!charge.refunded) {
      actions.push(button('Refund this', 'refund-charge', { charge: charge.id }));
    }
  }
  for (const refund of world.store.all('refund')) {
    if (refund.charge !== charge.id || refund.status !== 'succeeded') continue;
    const amount = formatAmount(refund.amount, refund.currency);
    actions.push(button(`Fail the refund of ${amount}`, 'fail-refund', { refund: refund.id }));
  }
  for (const dispute of world.store.all('dispute')) {
    if (dispute.charge !== charge.id || dispute.status !== 'needs_response') continue;
    actions.push(button('Dispute won', 'close-dispute', { dispute: dispute.id, end: 'won' }));
    actions.push(button('Dispute lost', 'close-dispute', { dispute: dispute.id, end: 'lost' }));
  }
  return actions.join(' ');
}

/** What became of the money after it was paid. */
function aftermath(world: World, intent: Stripe.PaymentIntent): string {
  const charges = world.store.all('charge').filter((row) => row.payment_intent === intent.id);
  const notes = charges
    .filter((charge) => charge.amount_refunded > 0)
    .map((charge) => `${formatAmount(charge.amount_refunded, charge.currency)} refunded`);
  const disputes = world.store.all('dispute').filter((row) => row.payment_intent === intent.id);
  return [...notes, ...disputes.map((dispute) => `dispute ${dispute.status}`)].join(', ');
}

function intentRow(world: World, intent: Stripe.PaymentIntent): string {
  const tone = intent.status === 'succeeded' ? 'good' : intent.last_payment_error ? 'bad' : 'muted';
  const note = intent.last_payment_error?.message ?? aftermath(world, intent);
  return `<tr><td>${time(intent.created)}</td><td><code>${escapeHtml(intent.id)}</code></td>
    <td>${escapeHtml(formatAmount(intent.amount, intent.currency))}</td>
    <td class="${tone}">${escapeHtml(intent.status)}<br><span class="muted">${escapeHtml(note)}</span></td>
    <td>${chargeActions(world, intent)}</td></tr>`;
}

function cardRow({ id, customer, card, created }: Stripe.PaymentMethod): string {
  const expiry = `${card?.exp_month}/${card?.exp_year}`;
  return `<tr><td>${time(created)}</td><td><code>${escapeHtml(id)}</code></td>
    <td>${escapeHtml(`${card?.brand} ${card?.last4}`)}, expires ${expiry}</td>
    <td><code>${escapeHtml(String(customer))}</code></td>
    <td>${button('Renew by its bank', 'renew-card', { card: id })}</td></tr>`;
}

function deliveryText(delivery: Delivery): string {
  const tone =
    delivery.state === 'delivered' ? 'good' : delivery.state === 'pending' ? 'muted' : 'bad';
  const last = delivery.lastOutcome === null ? '' : ` · last ${delivery.lastOutcome}`;
  return `<span class="${tone}">${escapeHtml(delivery.state)}</span> · ${delivery.attempts} sent${escapeHtml(last)}`;
}

function html(world: World, controls: StripeControls): string {
  const intents = world.store.all('payment_intent').slice(-ROWS).reverse();
  const saved = world.store.all('payment_method').filter(({ customer }) => customer !== null);
  const events = controls.events(ROWS);
  const eventRows = events.map(
    ({ event, deliveries }) =>
      `<tr><td>${time(event.created)}</td><td>${escapeHtml(event.type)}<br><code class="muted">${escapeHtml(event.id)}</code></td>
      <td>${deliveries.map(deliveryText).join('<br>')}</td>
      <td>${button('Deliver again', 'redeliver', { event: event.id })}</td></tr>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
    <meta name="viewport" content="width=device-width"><title>Stripe stand-in</title>
    <style>${STYLE}</style></head><body><main>
    <h1>Stripe stand-in</h1>
    <p>This server plays Stripe on this machine. No card is charged and nothing leaves it.</p>
    <p>${button('Decline the next', 'decline-next', {})} ${button('Refuse the next refund', 'api', { fault: 'refused', pathPrefix: '/v1/refunds' })} ${button('Forget all faults', 'clear-faults', {})}</p>
    <h2>Payment intents</h2>
    <table><thead><tr><th>Created (UTC)</th><th>Id</th><th>Amount</th><th>Status</th><th>Actions</th></tr></thead>
    <tbody>${intents.map((intent) => intentRow(world, intent)).join('')}</tbody></table>
    <h2>Saved cards</h2>
    <table><thead><tr><th>Created (UTC)</th><th>Id</th><th>Card</th><th>Customer</th><th>Actions</th></tr></thead>
    <tbody>${saved.slice(-ROWS).reverse().map(cardRow).join('')}</tbody></table>
    <h2>Events</h2>
    <table><thead><tr><th>Created (UTC)</th><th>Type</th><th>Webhook</th><th>Actions</th></tr></thead>
    <tbody>${eventRows.join('')}</tbody></table></main></body></html>`;
}

/** The developer's page at `/`, and the forms on it. */
export function pageAnswer(
  world: World,
  controls: StripeControls,
  method: string,
  url: URL,
  body: string,
): ApiAnswer {
  if (method === 'POST' && url.pathname.startsWith('/run/')) {
    const fields = Object.fromEntries(new URLSearchParams(body));
    runCommand(controls, url.pathname.slice('/run/'.length), fields);
    return { status: 303, headers: { location: '/' }, body: '' };
  }
  if (method !== 'GET' || url.pathname !== '/') {
    throw new ApiError(404, 'invalid_request_error', 'There is no such page.');
  }
  return {
    status: 200,
    headers: {
      'content-security-policy':
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
      'content-type': 'text/html; charset=utf-8',
    },
    body: html(world, controls),
  };
}
