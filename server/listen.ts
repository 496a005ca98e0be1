/** The Node server under the application: listening, and ending in good order. */
import { createServer, type RequestListener, type Server } from 'node:http';

export interface Listening {
  readonly server: Server;
  readonly port: number;
  /** Takes no new connections, lets requests under way end, then closes. */
  close(timeoutMs: number): Promise<void>;
}

/** Listens; the error names the port when another program has it. */
export async function listen(
  listener: RequestListener,
  address: { host: string; port: number },
): Promise<Listening> {
  const server = createServer(listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = `${address.host}:${address.port}`;
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`${where} is in use by another program: end it, or set PORT to another port`)
          : new Error(`cannot listen on ${where}: ${error.code ?? error.message}`),
      );
    });
    server.listen(address.port, address.host, resolve);
  });
  const bound = server.address();
  return {
    server,
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    async close(timeoutMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
      await closed;
      clearTimeout(timer);
    },
  };
}
