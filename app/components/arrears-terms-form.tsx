import { useNavigation } from '@remix-run/react';
import type { ArrearsTerms } from '../../server/views/admin.ts';
import type { RefusedForm } from '../form-errors.ts';
import { formatDateTime } from '../format.ts';
import type { Wire } from '../wire.ts';
import { Button } from './button.tsx';
import { CheckedForm } from './checked-form.tsx';
import { Field } from './field.tsx';
import { Notice } from './notice.tsx';

interface ArrearsTermsFormProps {
  terms: Wire<ArrearsTerms>;
  refused: RefusedForm | undefined;
  isSaved: boolean;
}

/** How long what is owed may wait, from the closing of the month on. */
export function ArrearsTermsForm({ terms, refused, isSaved }: ArrearsTermsFormProps) {
  const isSaving = useNavigation().formData?.get('intent') === 'terms';
  const labels = { graceDays: 'Until the suspension', reminderDays: 'Reminder' };
  return (
    <CheckedForm intent="terms" refused={refused} labels={labels} className="grid gap-5">
      {isSaved && !refused && (
        <div role="status">
          <Notice>Saved, for what is demanded from now on.</Notice>
        </div>
      )}
      <div className="grid items-start gap-5 sm:grid-cols-2">
        <Field
          name="graceDays"
          label="Days until the suspension"
          hint="From the closing of the month."
          inputMode="numeric"
          required
          defaultValue={terms.graceDays}
        />
        <Field
          name="reminderDays"
          label="Reminder, days before it"
          inputMode="numeric"
          required
          defaultValue={terms.reminderDays}
        />
      </div>
      <p className="text-sm text-ink-soft wrap-anywhere">
        What was demanded before keeps its dates.
        {terms.changedAt !== null && (
          <>
            {' '}
            Last changed{' '}
            <time dateTime={terms.changedAt}>{formatDateTime(terms.changedAt, 'UTC')}</time> by{' '}
            {terms.changedBy}.
          </>
        )}
      </p>
      <Button busy={isSaving} className="justify-self-start">
        Save
      </Button>
    </CheckedForm>
  );
}
