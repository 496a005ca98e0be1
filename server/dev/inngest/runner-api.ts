import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Logger } from 'pino';
import { z } from 'zod';
import { readEvents } from './event-inbox.ts';
import { checkpointInput, eventsInput, type InngestEvent, type StepOp } from './protocol.ts';
import { type FunctionConfig, parseRegistration, SUPPORTED } from './registration.ts';
import type { RunSummary } from './run.ts';
import { statusPage } from './status-page.ts';

/** Enough for a checkpoint with a step of the greatest size, and for any sensible list of events. */
const BODY_BYTES = 16 * 1024 * 1024;

export interface RunnerApiOptions {
  logger: Logger;
  now: () => number;
  functions: () => readonly FunctionConfig[];
  runs: () => RunSummary[];
  register: (functions: FunctionConfig[]) => void;
  accept: (events: InngestEvent[]) => void;
  checkpoint: (
    runId: string,
    queueItemId: string,
    steps: StepOp[],
  ) => 'taken' | 'stale' | 'refused';
  /** False when there is no such function with a cron. */
  startCron: (functionId: string) => boolean;
}

/** The HTTP side of the runner: what the SDK calls, and a page for people. */
export function createRunnerApi(options: RunnerApiOptions): Hono {
  const { logger } = options;
  const api = new Hono();
  api.use(bodyLimit({ maxSize: BODY_BYTES, onError: (c) => refuse(c, 413, 'body too large') }));

  api.post('/e/:key', async (c) => {
    const input = eventsInput.safeParse(await jsonOf(c));
    if (!input.success) return refuse(c, 400, z.prettifyError(input.error));
    const read = readEvents(input.data, c.req.header('x-inngest-event-id-seed'), options.now());
    if (!read.ok) return refuse(c, 400, read.problem);
    options.accept(read.events);
    return c.json({ ids: read.events.map((event) => event.id), status: 200 });
  });

  api.post('/fn/register', async (c) => {
    const registration = parseRegistration(await jsonOf(c));
    if (!registration.ok) {
      const { problems } = registration;
      logger.error({ problems, supported: SUPPORTED }, 'inngest: registration refused');
      return refuse(c, 400, `${problems.join('\n')}\nThe runner supports ${SUPPORTED}.`);
    }
    options.register(registration.functions);
    return c.json({ status: 200, modified: true });
  });

  api.post('/v1/checkpoint/:runId/async', async (c) => {
    const input = checkpointInput.safeParse(await jsonOf(c));
    if (!input.success) return refuse(c, 400, z.prettifyError(input.error));
    const { qi_id: queueItemId, steps } = input.data;
    const verdict = options.checkpoint(c.req.param('runId'), queueItemId, steps);
    if (verdict === 'taken') return c.json({ status: 200 });
    // The SDK stops at 409; after any other refusal it hands the steps over in its reply instead.
    if (verdict === 'stale') return refuse(c, 409, 'nobody waits for this request any more');
    return refuse(c, 400, 'only finished steps can be checkpointed here');
  });

  api.get('/dev', (c) => c.json({ version: 'development runner', functions: options.functions() }));

  api.get('/', (c) => c.html(statusPage(options.functions(), options.runs())));

  api.post('/invoke', async (c) => {
    // A page of some other site in the developer's browser must not start a function.
    const origin = c.req.header('origin');
    if (origin !== undefined && origin !== new URL(c.req.url).origin) {
      return refuse(c, 403, 'foreign origin');
    }
    const { functionId } = await c.req.parseBody();
    if (typeof functionId !== 'string' || !options.startCron(functionId)) {
      return refuse(c, 404, 'no such function with a cron');
    }
    return c.redirect('/', 303);
  });

  api.notFound((c) =>
    refuse(c, 404, `the development runner has no ${c.req.method} ${c.req.path}`),
  );
  api.onError((error, c) => {
    logger.error({ err: error }, 'inngest: the runner failed');
    return refuse(c, 500, 'the runner failed');
  });
  return api;
}

/** Undefined for what is not JSON; the schemas refuse that. */
async function jsonOf(c: Context): Promise<unknown> {
  try {
    return await c.req.json();
  } catch {
    return undefined;
  }
}

/** Errors in the shape that the SDK reads. */
function refuse(c: Context, status: 400 | 403 | 404 | 409 | 413 | 500, error: string) {
  return c.json({ error, status }, status);
}
