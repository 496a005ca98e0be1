import { Readable } from 'node:stream';
import { createReadableStreamFromReadable } from '@remix-run/node';

/** A CSV file to keep, sent as its pieces come. */
export function csvResponse(pieces: AsyncIterable<string>, fileName: string): Response {
  const body = createReadableStreamFromReadable(Readable.from(pieces, { objectMode: false }));
  return new Response(body, {
    headers: {
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="${fileName}"`,
    },
  });
}
