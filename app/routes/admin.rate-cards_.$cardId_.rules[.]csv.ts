import type { LoaderFunctionArgs } from '@remix-run/node';
import { csvResponse } from '../csv-response.server.ts';
import { fileNotFound, requireSupport } from '../guards.server.ts';

/** The rules of a card as a file, sent as they are read. */
export async function loader({ params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { rateCardDesk } = context.services;
  const card = await rateCardDesk.get(params.cardId ?? '');
  if (card === null) throw fileNotFound(context);
  const version = card.version === null ? 'draft' : `v${card.version}`;
  return csvResponse(rateCardDesk.csv(card), `rates-${card.currency}-${version}.csv`);
}
