import type { LoadContext } from '../server/http/load-context.ts';

declare module '@remix-run/server-runtime' {
  /** Loaders and actions receive the server's own context. */
  interface AppLoadContext extends LoadContext {}
}
