/** Where a command writes. A promise settles when more can be written. */
export interface Output {
  out(text: string): void | Promise<void>;
  err(text: string): void | Promise<void>;
  /** Whether `err` is a terminal, where a line can be rewritten. */
  readonly errIsTerminal?: boolean;
}

/** The terminal. A reader that has seen enough, such as `head`, ends the command quietly. */
export function standardOutput(): Output {
  // The failed write itself says what to do; without a listener the event would end the process.
  process.stdout.on('error', () => undefined);
  return {
    out: (text) =>
      new Promise((resolve, reject) => {
        process.stdout.write(text, (error) => {
          if (error && 'code' in error && error.code === 'EPIPE') {
            process.exit(0);
          }
          if (error) {
            reject(error);
          } else {
            resolve();
          }
        });
      }),
    err: (text) => {
      process.stderr.write(text);
    },
    errIsTerminal: process.stderr.isTTY === true,
  };
}
