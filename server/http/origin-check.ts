import { createMiddleware } from 'hono/factory';
import { Fault } from '../faults.ts';
import { errorResponse } from './errors.ts';
import type { RequestIdVariables } from './request-id.ts';

export interface OriginCheckOptions {
  /** Where people reach this program; its origin is always accepted. */
  readonly appUrl: string;
  /**
   * Also accept the host that the request itself was sent to, whatever its name: for development,
   * where `localhost`, `127.0.0.1` and a forwarded port are all the same program.
   */
  readonly allowOwnHost?: boolean;
  /** Paths, with all below them, whose callers are authenticated by a signature instead. */
  readonly exemptPaths?: readonly string[];
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses, with `BAD_ORIGIN`, an unsafe method that a page of another site sent with the user's
 * cookie. Browsers name the sending page in `Origin`, or at least in `Referer`; a request with
 * neither is refused too. A request with a Bearer token and no cookie passes: no other site can
 * make a browser send that header.
 */
export function originCheck(options: OriginCheckOptions) {
  const appOrigin = new URL(options.appUrl).origin;
  const exemptPaths = options.exemptPaths ?? [];

  return createMiddleware<{ Variables: RequestIdVariables }>(async (c, next) => {
    const { method, path } = c.req;
    const exempt = exemptPaths.some((exempt) => path === exempt || path.startsWith(`${exempt}/`));
    const bearer = /^Bearer /i.test(c.req.header('authorization') ?? '') && !c.req.header('cookie');
    if (SAFE_METHODS.has(method) || exempt || bearer) return next();

    const from = originOf(c.req.header('origin') ?? c.req.header('referer'));
    const ownHost = options.allowOwnHost ? c.req.header('host') : undefined;
    if (from && (from.origin === appOrigin || from.host === ownHost)) return next();

    return errorResponse(new Fault('BAD_ORIGIN'), c.get('requestId'));
  });
}

/** Null for an absent header, for the opaque origin `null`, and for what is not an HTTP URL. */
function originOf(header: string | undefined): URL | null {
  if (!header || !URL.canParse(header)) return null;
  const url = new URL(header);
  return /^https?:$/.test(url.protocol) ? url : null;
}
