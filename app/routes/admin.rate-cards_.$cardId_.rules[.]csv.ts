import { Readable } from 'node:stream';
import { createReadableStreamFromReadable, type LoaderFunctionArgs } from '@remix-run/node';
import { notFound, requireSupport } from '../guards.server.ts';

/** The rules of a card as a file, sent as they are read. */
export async function loader({ params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const { rateCardDesk } = context.services;
  const card = await rateCardDesk.get(params.cardId ?? '');
  if (card === null) throw notFound();
  const version = card.version === null ? 'draft' : `v${card.version}`;
  return new Response(
    createReadableStreamFromReadable(Readable.from(rateCardDesk.csv(card), { objectMode: false })),
    {
      headers: {
        'content-type': 'text/csv; charset=utf-8',
        'content-disposition': `attachment; filename="rates-${card.currency}-${version}.csv"`,
      },
    },
  );
}
