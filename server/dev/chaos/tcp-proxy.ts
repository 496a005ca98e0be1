/** A TCP proxy that loses what it is told to lose. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Chances, from 0 to 1, of what happens to one piece of data on its way. */
export interface ProxyFaults {
  /** The request goes nowhere, and the connection ends. */
  cutBeforeRequest: number;
  /** The request arrives; the asker is cut off at once and nobody hears the reply. */
  cutAfterRequest: number;
  /** The reply has been given, and is lost with the connection. */
  dropReply: number;
  /** Half of the reply comes through. */
  tearReply: number;
}

export const NO_FAULTS: ProxyFaults = {
  cutBeforeRequest: 0,
  cutAfterRequest: 0,
  dropReply: 0,
  tearReply: 0,
};

export interface TcpProxy {
  readonly port: number;
  /** How many connections were cut so far, by fault. */
  readonly cuts: Readonly<Record<keyof ProxyFaults, number>>;
  /** From now on these faults. */
  set(faults: Partial<ProxyFaults>): void;
  close(): Promise<void>;
}

/** Stands in front of `targetPort` on 127.0.0.1. */
export async function startTcpProxy(targetPort: number, random: () => number): Promise<TcpProxy> {
  let faults = NO_FAULTS;
  const cuts = { ...NO_FAULTS };
  const sockets = new Set<Socket>();

  const strikes = (fault: keyof ProxyFaults) => {
    const struck = random() < faults[fault];
    cuts[fault] += struck ? 1 : 0;
    return struck;
  };

  const server = createServer((asker) => {
    const target = connect(targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [asker, target],
      [target, asker],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        // A target whose asker was cut off still takes the request in, and answers to nobody.
        if (socket === target || !deaf) {
          other.destroy();
        }
      });
    }
    let deaf = false;
    asker.on('data', (request) => {
      if (strikes('cutBeforeRequest')) {
        asker.destroy();
        return;
      }
      target.write(request);
      if (strikes('cutAfterRequest')) {
        deaf = true;
        asker.destroy();
      }
    });
    target.on('data', (reply) => {
      if (deaf || strikes('dropReply')) {
        asker.destroy();
        target.destroy();
      } else if (strikes('tearReply')) {
        asker.write(reply.subarray(0, Math.floor(reply.length / 2)));
        asker.end();
        target.destroy();
      } else {
        asker.write(reply);
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    cuts,
    set(changed) {
      faults = { ...NO_FAULTS, ...changed };
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
      await closed;
    },
  };
}
