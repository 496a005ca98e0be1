import { html } from 'hono/html';

export interface ReceivedMail {
  readonly id: string;
  readonly at: string;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly messageId: string;
  /** The header `List-Unsubscribe`, and whether one POST to it is enough. */
  readonly unsubscribe: string | null;
  readonly isOneClick: boolean;
  readonly text: string;
  readonly html: string;
  readonly attachments: readonly ReceivedFile[];
}

export interface ReceivedFile {
  readonly name: string;
  readonly type: string;
  readonly base64: string;
}

const STYLE = html`<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #d8dee6; }
  iframe { width: 100%; height: 32rem; border: 1px solid #d8dee6; border-radius: 8px; }
  pre { white-space: pre-wrap; background: #f5f7fa; padding: 1rem; border-radius: 8px; }
</style>`;

/** The mails, newest first; loads itself again every few seconds. */
export function listPage(mails: readonly ReceivedMail[]): string {
  const rows = mails.map(
    ({ id, at, to, subject }) => html`<tr>
      <td>${at}</td>
      <td>${to}</td>
      <td><a href="/mails/${id}">${subject}</a></td>
    </tr>`,
  );
  return page(
    'Mailbox',
    html`<meta http-equiv="refresh" content="5" />`,
    html`<h1>Mailbox</h1>
      <p>Every mail that the wallet sends in development lands here. Nothing leaves this machine.</p>
      ${
        mails.length === 0
          ? html`<p>No mail yet.</p>`
          : html`<table>
              <thead><tr><th>Sent</th><th>To</th><th>Subject</th></tr></thead>
              <tbody>${rows}</tbody>
            </table>`
      }`,
  );
}

/** One mail in both of its forms; scripts in it cannot run. */
export function readPage(mail: ReceivedMail): string {
  return page(
    mail.subject,
    '',
    html`<p><a href="/">All mails</a></p>
      <h1>${mail.subject}</h1>
      <p>From ${mail.from} to ${mail.to}, ${mail.at}</p>
      ${mail.attachments.map(
        ({ name }, index) =>
          html`<p>Attached: <a href="/mails/${mail.id}/${String(index)}">${name}</a></p>`,
      )}
      <h2>As HTML</h2>
      <iframe title="The mail as HTML" sandbox="allow-popups allow-popups-to-escape-sandbox" srcdoc="${`<base target="_blank">${mail.html}`}"></iframe>
      <h2>As text</h2>
      <pre>${mail.text}</pre>`,
  );
}

function page(
  title: string,
  head: ReturnType<typeof html> | string,
  body: ReturnType<typeof html>,
) {
  return String(html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        ${head} ${STYLE}
      </head>
      <body>${body}</body>
    </html>`);
}
