/** One line of a text, counted from 1, without its line break. */
export interface Line {
  readonly number: number;
  /** `undefined` when the line was longer than allowed; its text is then not kept. */
  readonly text: string | undefined;
}

/**
 * Splits chunks of text or UTF-8 bytes, cut anywhere, into lines at LF or CRLF, in memory bounded by
 * the chunk and `maxLength` characters. A byte order mark in front of bytes is dropped, bytes that
 * are not UTF-8 become U+FFFD, and the last line may lack its break.
 */
export async function* readLines(
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  maxLength: number,
): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  let number = 1;
  let pending = '';
  let overlong = false;

  const finish = (): Line => {
    const text = pending.endsWith('\r') ? pending.slice(0, -1) : pending;
    const line = { number, text: overlong || text.length > maxLength ? undefined : text };
    number += 1;
    pending = '';
    overlong = false;
    return line;
  };

  for await (const chunk of source) {
    let text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
      pending += text.slice(0, end);
      text = text.slice(end + 1);
      yield finish();
    }
    pending += text;
    if (pending.length > maxLength + 1) {
      overlong = true;
      pending = '';
    }
  }
  pending += decoder.decode();
  if (pending !== '' || overlong) {
    yield finish();
  }
}
