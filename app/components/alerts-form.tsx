import { Form, useNavigation } from '@remix-run/react';
import { useFocusFirstError } from '../form-errors.ts';
import { Button } from './button.tsx';
import { Field } from './field.tsx';

/** As many as a wallet may have. */
const NAMES = ['alert1', 'alert2', 'alert3', 'alert4', 'alert5'] as const;
/** Offered at once; more when there are more. */
const PLACES_SHOWN = 3;

interface Alerts {
  /** As people type them. */
  amounts: string[];
  byMail: boolean;
}

interface AlertsFormProps {
  currency: string;
  saved: Alerts;
  /** What was sent and not accepted, with the problems by their place. */
  refused: (Alerts & { problems: Record<string, string> }) | null;
}

/** At which available balances to be told, and whether by mail. */
export function AlertsForm({ currency, saved, refused }: AlertsFormProps) {
  const { amounts, byMail } = refused ?? saved;
  const isSaving = useNavigation().formData?.get('intent') === 'alerts';
  const errors = refused === null ? undefined : { fields: refused.problems };
  const formRef = useFocusFirstError(errors);
  const filled = amounts.findLastIndex((amount) => amount !== '') + 1;
  const places = Math.max(PLACES_SHOWN, filled + 1);
  return (
    <Form method="post" ref={formRef} noValidate className="grid gap-5">
      <input type="hidden" name="intent" value="alerts" />
      <p className="text-ink-soft">
        You are told when what you can spend falls below one of these amounts, and again only after
        it has been above.
      </p>
      <div className="grid gap-4 sm:grid-cols-3">
        {NAMES.slice(0, places).map((name, place) => (
          <Field
            key={name}
            name={name}
            label={`Alert ${place + 1} (${currency})`}
            inputMode="decimal"
            autoComplete="off"
            defaultValue={amounts[place]}
            error={refused?.problems[place]}
          />
        ))}
      </div>
      <label className="flex min-h-11 items-center gap-3">
        <input type="checkbox" name="byMail" defaultChecked={byMail} className="size-5" />
        Tell me by mail, too
      </label>
      <Button busy={isSaving} className="justify-self-start">
        Save alerts
      </Button>
    </Form>
  );
}

/** What the form says; the server decides whether these are amounts. */
export function readAlertsForm(form: FormData): Alerts {
  return {
    amounts: NAMES.map((name) => String(form.get(name) ?? '').slice(0, 40)),
    byMail: form.has('byMail'),
  };
}
