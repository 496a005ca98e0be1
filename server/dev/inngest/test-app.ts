import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import type { Inngest, InngestFunction } from 'inngest';
import { pino } from 'pino';
import { createInngest } from '../../inngest/client.ts';
import { inngestHandler } from '../../inngest/serve.ts';
import { type InngestRunner, type InngestRunnerOptions, startInngestRunner } from './runner.ts';

const PATH = '/api/inngest';

/** An application with a real HTTP server and the stock SDK, driven by a runner of its own. */
export interface TestBed {
  inngest: Inngest;
  runner: InngestRunner;
  /** The application's serve endpoint. */
  appUrl: string;
  /** Serves these functions from now on. */
  mount(functions: readonly InngestFunction.Like[]): void;
  /** Closes the application's port, as a crash would. */
  appDown(): Promise<void>;
  /** Opens the same port again. */
  appUp(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts both; the application answers 404 until functions are mounted. */
export async function startTestBed(options: Partial<InngestRunnerOptions> = {}): Promise<TestBed> {
  let handler = async (_request: Request) => new Response(null, { status: 404 });
  let server: ReturnType<typeof serve>;
  const open = (port: number) =>
    new Promise<number>((resolve, reject) => {
      server = serve(
        { fetch: (request) => handler(request), hostname: '127.0.0.1', port },
        (info: AddressInfo) => resolve(info.port),
      );
      server.once('error', reject);
    });
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      if ('closeAllConnections' in server) server.closeAllConnections();
    });

  const port = await open(0);
  const appUrl = `http://127.0.0.1:${port}${PATH}`;
  const runner = await startInngestRunner({
    port: 0,
    appUrl,
    backoffMs: () => 20,
    syncIntervalMs: 200,
    ...options,
  });
  const inngest = createInngest({
    isDev: true,
    baseUrl: runner.url,
    logger: pino({ level: 'silent' }),
  });
  return {
    inngest,
    runner,
    appUrl,
    mount(functions) {
      handler = inngestHandler(inngest, functions, { signed: false });
    },
    appDown: close,
    appUp: async () => {
      await open(port);
    },
    async stop() {
      await runner.stop();
      await close();
    },
  };
}
