/**
 * Load over keep-alive connections, with as little work of its own as can be: the machine is shared
 * with what is measured. Each connection has one request under way at a time.
 */
import { connect, type Socket } from 'node:net';

export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Sends bodies from `nextBody` over `connections` for `seconds`, each as soon as one is answered. */
export async function closedLoop(options: {
  target: LoadTarget;
  connections: number;
  seconds: number;
  nextBody: () => string;
  check: (body: string) => void;
}): Promise<LoadResult> {
  const { target, connections, seconds, nextBody, check } = options;
  const latenciesMs: number[] = [];
  const startedAtMs = performance.now();
  const untilMs = startedAtMs + seconds * 1000;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const connection = await openConnection(target);
      while (performance.now() < untilMs) {
        const sentAtMs = performance.now();
        check(await connection.send(nextBody()));
        latenciesMs.push(performance.now() - sentAtMs);
      }
      connection.close();
    }),
  );
  return summary(latenciesMs, (performance.now() - startedAtMs) / 1000);
}

/**
 * Sends `perSecond` requests a second whatever the answers do. A latency counts from the moment at
 * which its request was due, so a stall shows in every request that it kept waiting.
 */
export async function fixedRate(options: {
  target: LoadTarget;
  connections: number;
  perSecond: number;
  seconds: number;
  nextBody: () => string;
  check: (body: string) => void;
}): Promise<LoadResult> {
  const { target, perSecond, seconds, nextBody, check } = options;
  const idle = await Promise.all(
    Array.from({ length: options.connections }, () => openConnection(target)),
  );
  const all = [...idle];
  const latenciesMs: number[] = [];
  const total = perSecond * seconds;
  const startedAtMs = performance.now();
  const underWay: Promise<void>[] = [];
  const dueMs: number[] = [];
  let sent = 0;

  function dispatch(): void {
    while (dueMs.length > 0 && idle.length > 0) {
      const due = dueMs.shift() ?? 0;
      const connection = idle.pop();
      if (connection === undefined) {
        return;
      }
      underWay.push(
        connection.send(nextBody()).then((body) => {
          check(body);
          latenciesMs.push(performance.now() - due);
          idle.push(connection);
          dispatch();
        }),
      );
    }
  }

  while (sent < total) {
    const elapsedMs = performance.now() - startedAtMs;
    while (sent < total && (sent * 1000) / perSecond <= elapsedMs) {
      dueMs.push(startedAtMs + (sent * 1000) / perSecond);
      sent += 1;
    }
    dispatch();
    await new Promise((done) => setTimeout(done, 1));
  }
  while (latenciesMs.length < total) {
    await new Promise((done) => setTimeout(done, 5));
  }
  await Promise.all(underWay);
  for (const connection of all) {
    connection.close();
  }
  return summary(latenciesMs, (performance.now() - startedAtMs) / 1000);
}

interface Connection {
  send(body: string): Promise<string>;
  close(): void;
}

async function openConnection(target: LoadTarget): Promise<Connection> {
  const socket: Socket = connect(target.port, target.host);
  socket.setNoDelay(true);
  await new Promise<void>((done, fail) => {
    socket.once('connect', done);
    socket.once('error', fail);
  });
  const head = [
    `POST ${target.path} HTTP/1.1`,
    `host: ${target.host}:${target.port}`,
    'content-type: application/json',
    ...Object.entries(target.headers).map(([name, value]) => `${name}: ${value}`),
  ].join('\r\n');

  let received = '';
  let waiter: { resolve: (body: string) => void; reject: (error: Error) => void } | null = null;
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    received += chunk;
    const headEnd = received.indexOf('\r\n\r\n');
    if (headEnd === -1) {
      return;
    }
    const length = Number(/content-length: (\d+)/i.exec(received.slice(0, headEnd))?.[1]);
    if (received.length < headEnd + 4 + length) {
      return;
    }
    const body = received.slice(headEnd + 4, headEnd + 4 + length);
    received = received.slice(headEnd + 4 + length);
    const answered = waiter;
    waiter = null;
    answered?.resolve(body);
  });
  socket.on('error', (error) => waiter?.reject(error));
  socket.on('close', () => waiter?.reject(new Error('the server closed the connection')));

  return {
    send(body) {
      return new Promise((resolve, reject) => {
        waiter = { resolve, reject };
        socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      });
    },
    close: () => socket.destroy(),
  };
}

function summary(latenciesMs: number[], seconds: number): LoadResult {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (quantile: number) => sorted[Math.floor((sorted.length - 1) * quantile)] ?? 0;
  return { requests: sorted.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}
