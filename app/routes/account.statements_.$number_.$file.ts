import type { LoaderFunctionArgs } from '@remix-run/node';
import { fileNotFound, requireUser } from '../guards.server.ts';
import { isStatementNumber } from '../statement-files.ts';

/** A file of a statement, as a download. */
export async function loader({ params, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const { number = '', file = '' } = params;
  if (!isStatementNumber(number)) throw fileNotFound(context);
  const download = await context.services.statements.download({
    userId: user.id,
    customer: user.email,
    number,
    file,
  });
  if (download === null) throw fileNotFound(context);
  return new Response(download.body, {
    headers: {
      'Content-Type': download.contentType,
      'Content-Disposition': `attachment; filename="${download.fileName}"`,
    },
  });
}
