/**
 * A keep-alive connection that posts JSON, with as little work of its own as can be: the machine is
 * shared with what is measured.
 */
import { connect, type Socket } from 'node:net';

export interface HttpTarget {
  readonly host: string;
  readonly port: number;
  readonly apiKey: string;
}

export interface HttpConnection {
  /** Posts to a path and answers the body; one request at a time. */
  post(path: string, body: string): Promise<string>;
  close(): void;
}

export async function openConnection(target: HttpTarget): Promise<HttpConnection> {
  const socket: Socket = connect(target.port, target.host);
  socket.setNoDelay(true);
  await new Promise<void>((done, fail) => {
    socket.once('connect', done);
    socket.once('error', fail);
  });
  const headers = [
    `host: ${target.host}:${target.port}`,
    'content-type: application/json',
    `authorization: Bearer ${target.apiKey}`,
  ].join('\r\n');

  let received = '';
  let waiter: { resolve: (body: string) => void; reject: (error: Error) => void } | null = null;
  // Every body is JSON of ASCII, so a character is a byte.
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    received += chunk;
    const body = bodyOf(received);
    if (body !== null) {
      received = '';
      waiter?.resolve(body);
      waiter = null;
    }
  });
  const fail = (error: Error) => {
    waiter?.reject(error);
    waiter = null;
  };
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the server closed the connection')));

  return {
    post(path, body) {
      return new Promise((resolve, reject) => {
        waiter = { resolve, reject };
        socket.write(
          `POST ${path} HTTP/1.1\r\n${headers}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        );
      });
    },
    close: () => socket.destroy(),
  };
}

/** The body of a response that has arrived whole, else null. */
function bodyOf(received: string): string | null {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd === -1) {
    return null;
  }
  const head = received.slice(0, headEnd);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const end = headEnd + 4 + Number(length);
    return received.length < end ? null : received.slice(headEnd + 4, end);
  }
  return chunksOf(received, headEnd + 4);
}

/** A chunked body put together, or null while its last chunk is missing. */
function chunksOf(received: string, from: number): string | null {
  let body = '';
  for (let at = from; ; ) {
    const lineEnd = received.indexOf('\r\n', at);
    if (lineEnd === -1) {
      return null;
    }
    const size = Number.parseInt(received.slice(at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (received.length < next) {
      return null;
    }
    if (size === 0) {
      return body;
    }
    body += received.slice(lineEnd + 2, lineEnd + 2 + size);
    at = next;
  }
}
