/**
 * The application in development: the production composition with Vite serving the pages, or with
 * the built pages (`--built`) for browser tests.
 */
import { createServer, type Server } from 'node:http';
import { resolve } from 'node:path';
import { createRequestHandler, type ServerBuild } from '@remix-run/node';
import { createServer as createVite } from 'vite';
import { createApplication } from '../application.ts';
import { describeProblems, readEnv } from '../env.ts';
import type { Pages } from '../http/app.ts';
import { builtPages } from '../http/built-pages.ts';
import { createLogger } from '../log.ts';
import { DEMO_USER } from './seed.ts';

const STOP_TIMEOUT_MS = 5_000;

interface ReloadingPages {
  readonly pages: Pages;
  /** Connect middlewares that answer for source files and the reload client. */
  readonly middlewares: Awaited<ReturnType<typeof createVite>>['middlewares'];
  close(): Promise<void>;
}

/** Pages out of `app/` as it is now: Vite compiles a file when it is asked for. */
async function reloadingPages(server: Server): Promise<ReloadingPages> {
  const vite = await createVite({
    server: { middlewareMode: true, hmr: { server } },
    appType: 'custom',
  });
  return {
    pages: {
      asset: async () => null,
      async handle(request, context) {
        const build = (await vite.ssrLoadModule('virtual:remix/server-build')) as ServerBuild;
        return createRequestHandler(build, 'development')(request, { ...context });
      },
    },
    middlewares: vite.middlewares,
    close: () => vite.close(),
  };
}

async function main(): Promise<void> {
  const read = readEnv(process.env, { production: false });
  if (!read.ok) {
    throw new Error(describeProblems(read.problems));
  }
  const { env } = read;
  const logger = createLogger(env.logLevel);
  const server = createServer();
  const reloading = process.argv.includes('--built') ? null : await reloadingPages(server);
  const application = createApplication({
    env,
    logger,
    pages: reloading?.pages ?? (await builtPages(resolve('build'))),
    demoSignIn: DEMO_USER,
    reloadWebSocket: reloading === null ? undefined : `ws://localhost:${env.port}`,
  });
  server.on('request', (request, response) => {
    if (reloading === null) {
      application.listener(request, response);
    } else {
      reloading.middlewares(request, response, () => application.listener(request, response));
    }
  });

  // Vite's own handler would end this process before the application has.
  process.removeAllListeners('SIGTERM');
  let stopped = false;
  const stop = async () => {
    if (stopped) {
      return;
    }
    stopped = true;
    const timer = setTimeout(() => process.exit(1), STOP_TIMEOUT_MS);
    server.close();
    server.closeAllConnections();
    await application.stop();
    await reloading?.close();
    clearTimeout(timer);
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // The supervisor is gone, however it ended.
  process.on('disconnect', stop);

  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(env.port, env.host, done);
  });
  application.start();
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
