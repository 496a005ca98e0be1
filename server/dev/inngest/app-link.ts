/** What became of a request to the application. */
export type Reply =
  | { kind: 'answer'; status: number; body: unknown; noRetry: boolean; retryAfter: string | null }
  /** Nothing listens there, or a proxy in front of it says so: no attempt was made. */
  | { kind: 'unreachable'; reason: string }
  /** The request was sent, and what happened to it is not known. */
  | { kind: 'broken'; reason: string };

/** Statuses with which a proxy says that the application behind it is not there. */
const GATEWAY_STATUSES = [502, 503, 504];

/** The application's serve endpoint, as the runner calls it. */
export class AppLink {
  constructor(
    private readonly url: string,
    private readonly signal: AbortSignal,
  ) {}

  /** Asks the application to register its functions with us. */
  sync(): Promise<Reply> {
    return this.#request('PUT', this.url, {}, {});
  }

  /** Runs a function, or one of its steps, until it has something to report. */
  call(
    functionId: string,
    stepId: string,
    runId: string,
    requestId: string,
    body: unknown,
  ): Promise<Reply> {
    const url = new URL(this.url);
    url.searchParams.set('fnId', functionId);
    url.searchParams.set('stepId', stepId);
    return this.#request('POST', url.href, body, {
      'x-run-id': runId,
      'x-request-id': requestId,
    });
  }

  async #request(
    method: string,
    url: string,
    body: unknown,
    headers: Record<string, string>,
  ): Promise<Reply> {
    try {
      const response = await fetch(url, {
        method,
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', 'x-inngest-server-kind': 'dev', ...headers },
        redirect: 'error',
        signal: this.signal,
      });
      const text = await response.text();
      if (!response.headers.has('x-inngest-sdk-handled')) {
        const reason = `status ${response.status}, not from the Inngest SDK`;
        const kind = GATEWAY_STATUSES.includes(response.status) ? 'unreachable' : 'broken';
        return { kind, reason };
      }
      return {
        kind: 'answer',
        status: response.status,
        body: text === '' ? null : JSON.parse(text),
        noRetry: response.headers.get('x-inngest-no-retry') === 'true',
        retryAfter: response.headers.get('retry-after'),
      };
    } catch (error) {
      const reason = codeOf(error) ?? (error instanceof Error ? error.message : String(error));
      return { kind: reason === 'ECONNREFUSED' ? 'unreachable' : 'broken', reason };
    }
  }
}

/** `fetch` hides the reason of a failed connection in the cause. */
function codeOf(error: unknown): string | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof Error)) return undefined;
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}
