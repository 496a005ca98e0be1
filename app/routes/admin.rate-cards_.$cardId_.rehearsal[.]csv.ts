import type { LoaderFunctionArgs } from '@remix-run/node';
import { csvResponse } from '../csv-response.server.ts';
import { fileNotFound, requireSupport } from '../guards.server.ts';
import { monthSpan } from '../past-span.ts';

/** Every customer's change by a card, sent as it is calculated. */
export async function loader({ request, params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { rateCardDesk, repricingDesk } = context.services;
  const month = new URL(request.url).searchParams.get('month') ?? '';
  const [card, span] = [await rateCardDesk.get(params.cardId ?? ''), monthSpan(month)];
  const changes = card && span && (await repricingDesk.rehearsalCsv(card.id, span));
  if (changes === null) throw fileNotFound(context);
  return csvResponse(changes, `rehearsal-${month}.csv`);
}
