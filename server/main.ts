/** `npm start`: the production server. Refuses to start on a wrong environment or schema. */
import { resolve } from 'node:path';
import { createApplication } from './application.ts';
import { describeProblems, loadEnv, readEnv } from './env.ts';
import { asFault } from './faults.ts';
import { builtPages } from './http/built-pages.ts';
import { listen } from './listen.ts';
import { createLogger } from './log.ts';

/** How long requests under way may take to end after a signal to stop. */
const STOP_TIMEOUT_MS = 10_000;

async function main(): Promise<void> {
  // React and tRPC tell less to strangers, and are faster, when this says production.
  process.env.NODE_ENV ??= 'production';
  const read = readEnv(loadEnv(process.cwd()), { production: true });
  if (!read.ok) {
    throw new Error(describeProblems(read.problems));
  }
  const { env } = read;
  const logger = createLogger(env.logLevel);
  const application = createApplication({ env, logger, pages: await builtPages(resolve('build')) });
  await application.checkSchema().catch(async (error: unknown) => {
    await application.stop();
    throw new Error(asFault(error).publicMessage, { cause: error });
  });
  const listening = await listen(application.listener, env);
  application.start();
  logger.info({ host: env.host, port: listening.port }, 'listening');

  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, async () => {
      if (stopping) {
        return;
      }
      stopping = true;
      logger.info({ signal }, 'stopping');
      await listening.close(STOP_TIMEOUT_MS);
      await application.stop();
      process.exit(0);
    });
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
