import { type ActionFunctionArgs, json, type LoaderFunctionArgs } from '@remix-run/node';
import { Form, useActionData, useLoaderData, useNavigation } from '@remix-run/react';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { DataTable } from '../components/data-table.tsx';
import { Field, RadioField } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatQuantity, sentence } from '../format.ts';
import { notFound, requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';

export const meta = pageTitle('Import prices');

export async function loader({ params, context }: LoaderFunctionArgs) {
  requireSupport(context);
  const card = await context.services.rateCardDesk.get(params.cardId ?? '');
  if (card?.state !== 'draft') throw notFound();
  return json({ id: card.id, name: card.name, currency: card.currency });
}

export async function action({ request, params, context }: ActionFunctionArgs) {
  const actor = `support:${requireSupport(context).id}`;
  const form = await request.formData();
  const file = form.get('file');
  if (!(file instanceof Blob) || file.size === 0) {
    return json({ ok: false as const, message: 'choose a file' }, { status: 400 });
  }
  const mode = form.get('mode') === 'merge' ? 'merge' : 'replace';
  const csv = await file.text();
  const answer = await context.services.rateCardDesk.importCsv(
    params.cardId ?? '',
    { csv, mode },
    actor,
  );
  return json(answer, { status: answer.ok ? 200 : 409 });
}

export default function ImportPage() {
  const card = useLoaderData<typeof loader>();
  const answer = useActionData<typeof action>();
  const busy = useNavigation().state !== 'idle';
  return (
    <>
      <PageHeader
        title="Import prices"
        lead={`Into the draft ${card.name}, in ${card.currency}.`}
        action={<TextLink to={`/admin/rate-cards/${card.id}`}>Back to the draft</TextLink>}
      />
      <div className="grid gap-5">
        {answer?.ok && (
          <Notice title="Imported">
            {formatQuantity(answer.added, 'rule')} added, {answer.changed} changed, {answer.removed}{' '}
            removed.
          </Notice>
        )}
        {answer && !answer.ok && (
          <Notice tone="danger" alert>
            {sentence(answer.message)}.
          </Notice>
        )}
        {answer && !answer.ok && 'problems' in answer && (
          <Card title="What is wrong">
            <DataTable
              caption="Lines that are wrong"
              columns={[
                { key: 'line', title: 'Line' },
                { key: 'message', title: 'Problem' },
              ]}
              rows={(answer.problems ?? []).map(({ line, message }) => ({
                key: `${line}`,
                cells: { line, message: <span className="wrap-anywhere">{message}</span> },
              }))}
            />
          </Card>
        )}
        <Card title="Choose a file">
          <Form method="post" encType="multipart/form-data" noValidate className="grid gap-5">
            <Field
              name="file"
              type="file"
              accept=".csv,text/csv"
              label="CSV file"
              hint="As the export writes it: one rule a line, decimal amounts. Nothing is imported when a line is wrong."
              required
            />
            <RadioField
              name="mode"
              label="Rules that the file does not have"
              defaultValue="merge"
              options={[
                ['merge', 'Stay as they are'],
                ['replace', 'Are taken out: the file is the whole card'],
              ]}
            />
            <Button busy={busy} className="justify-self-start">
              Import
            </Button>
          </Form>
        </Card>
      </div>
    </>
  );
}
