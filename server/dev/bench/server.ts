/** The charging API in a process of its own, as production runs it, for the benchmark. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApplication } from '../../application.ts';
import { describeProblems, readEnv } from '../../env.ts';
import { createLogger } from '../../log.ts';

const read = readEnv(process.env, { production: false });
if (!read.ok) {
  throw new Error(describeProblems(read.problems));
}
const application = createApplication({
  env: read.env,
  logger: createLogger(read.env.logLevel),
  pages: {
    asset: async () => null,
    handle: async () => new Response(null, { status: 404 }),
  },
});
const server = createServer(application.listener);
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on('message', (message) => {
  if (message === 'usage') {
    const { user, system } = process.cpuUsage();
    process.send?.({
      cpuMicros: user + system,
      rssBytes: process.memoryUsage.rss(),
      // getrusage(2) tells it in kilobytes.
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    });
  }
});
process.on('disconnect', async () => {
  server.close();
  server.closeAllConnections();
  await application.stop();
  process.exit(0);
});
