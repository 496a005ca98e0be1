/** A mail server that delivers to a page instead of to people, for development and tests. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { STANDIN_MARKER } from '../../env.ts';
import { MailFolder } from './folder.ts';
import { listPage, type ReceivedMail, readPage } from './pages.ts';

export interface MailboxOptions {
  /** Directory that keeps the mails across restarts; in memory without it. */
  readonly directory?: string;
  /** 0, the default, takes a free port. */
  readonly smtpPort?: number;
  /** What the mail server says to refuse a recipient, beginning with its code; null takes it. */
  readonly refuse?: (to: string) => string | null;
}

export interface Mailbox {
  /** Where programs send to, for `SMTP_URL`. */
  readonly smtpUrl: string;
  /** Where people read. */
  readonly url: string;
  /** Newest first. */
  mails(): readonly ReceivedMail[];
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
const MAX_MAIL_BYTES = 1_000_000;

/** Starts the mail server and its page; both take connections of this machine alone. */
export async function startMailbox(options: MailboxOptions = {}): Promise<Mailbox> {
  const folder = new MailFolder(options.directory);
  const mails: ReceivedMail[] = [];
  const take = async (name: string, source: Buffer) => {
    mails.unshift(await parse(name, source));
  };
  for (const { name, source } of folder.kept()) {
    await take(name, source);
  }

  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    // Whoever sends says by a name in the address that this is the stand-in; any password will do.
    onAuth: (_auth, _session, done) => done(null, { user: STANDIN_MARKER }),
    size: MAX_MAIL_BYTES,
    logger: false,
    onRcptTo({ address }, _session, done) {
      const refusal = options.refuse?.(address) ?? null;
      done(refusal === null ? null : refused(refusal));
    },
    onData(stream, _session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const source = Buffer.concat(chunks);
        take(folder.keep(source), source).then(() => done(), done);
      });
    },
  });
  // A sender that breaks off is no failure of this server.
  smtp.on('error', () => undefined);
  const smtpPort = await listening(smtp.listen(options.smtpPort ?? 0, HOST));

  const pages = createServer((request, response) => answer(mails, request, response));
  const pagePort = await listening(pages.listen(0, HOST));

  return {
    smtpUrl: `smtp://${STANDIN_MARKER}:${STANDIN_MARKER}@${HOST}:${smtpPort}`,
    url: `http://${HOST}:${pagePort}`,
    mails: () => mails,
    async stop() {
      pages.closeAllConnections();
      await Promise.all([
        new Promise<void>((done) => smtp.close(done)),
        new Promise<unknown>((done) => pages.close(done)),
      ]);
    },
  };
}

function refused(reply: string): Error {
  return Object.assign(new Error(reply.slice(4)), { responseCode: Number(reply.slice(0, 3)) });
}

async function parse(id: string, source: Buffer): Promise<ReceivedMail> {
  const mail = await PostalMime.parse(source, { attachmentEncoding: 'base64' });
  return {
    id,
    at: mail.date ?? '',
    from: mail.from?.address ?? '',
    to: (mail.to ?? []).map(({ address }) => address ?? '').join(', '),
    subject: mail.subject ?? '',
    messageId: mail.messageId ?? '',
    unsubscribe: mail.headers.find(({ key }) => key === 'list-unsubscribe')?.value ?? null,
    isOneClick: mail.headers.some(
      ({ key, value }) => key === 'list-unsubscribe-post' && value === 'List-Unsubscribe=One-Click',
    ),
    text: mail.text ?? '',
    html: mail.html ?? '',
    attachments: mail.attachments.map(({ filename, mimeType, content }) => ({
      name: filename ?? 'file',
      type: mimeType,
      base64: String(content),
    })),
  };
}

function answer(
  mails: readonly ReceivedMail[],
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { status, type, body } = answerOf(mails, request);
  response.writeHead(status, {
    'content-type': type.startsWith('text/') ? `${type}; charset=utf-8` : type,
    'cache-control': 'no-store',
    'content-security-policy':
      "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}

function answerOf(
  mails: readonly ReceivedMail[],
  request: IncomingMessage,
): { status: number; type: string; body: string | Uint8Array } {
  const path = new URL(request.url ?? '/', 'http://mailbox').pathname;
  const port = request.socket.localPort;
  // Under another name a web site could read the mails, by rebinding its own.
  if (![`${HOST}:${port}`, `localhost:${port}`].includes(request.headers.host ?? '')) {
    return { status: 403, type: 'text/plain', body: 'Not under this name.' };
  }
  if (request.method !== 'GET') {
    return { status: 405, type: 'text/plain', body: 'Mails are only read here.' };
  }
  if (path === '/') {
    return { status: 200, type: 'text/html', body: listPage(mails) };
  }
  if (path === '/mails.json') {
    return { status: 200, type: 'application/json', body: JSON.stringify(mails) };
  }
  const [, , name, place] = path.split('/');
  const mail = mails.find(({ id }) => path.startsWith('/mails/') && id === name);
  if (mail !== undefined && place !== undefined) {
    const file = mail.attachments[Number(place)];
    return file === undefined
      ? { status: 404, type: 'text/plain', body: 'No such file.' }
      : { status: 200, type: file.type, body: Buffer.from(file.base64, 'base64') };
  }
  return mail === undefined
    ? { status: 404, type: 'text/plain', body: 'No such mail.' }
    : { status: 200, type: 'text/html', body: readPage(mail) };
}

async function listening(server: {
  once(event: 'listening' | 'error', listener: (error?: Error) => void): unknown;
  address(): AddressInfo | string | null;
}): Promise<number> {
  await new Promise<void>((done, fail) => {
    server.once('listening', () => done());
    server.once('error', (error) => fail(error));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') {
    throw new Error('the mailbox has no port');
  }
  return address.port;
}
