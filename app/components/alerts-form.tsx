import { useNavigation } from '@remix-run/react';
import type { FormErrors, RefusedForm } from '../form-errors.ts';
import { Button } from './button.tsx';
import { CheckedForm } from './checked-form.tsx';
import { Field } from './field.tsx';

/** As many as a wallet may have. */
const NAMES = ['alert1', 'alert2', 'alert3', 'alert4', 'alert5'] as const;
/** Offered at once; more when there are more. */
const PLACES_SHOWN = 3;

const LABELS: Readonly<Record<string, string>> = Object.fromEntries(
  NAMES.map((name, place) => [name, `Alert ${place + 1}`]),
);

interface Alerts {
  /** As people type them. */
  amounts: string[];
  byMail: boolean;
}

interface AlertsFormProps {
  currency: string;
  saved: Alerts;
  refused: RefusedForm | undefined;
}

/** At which available balances to be told, and whether by mail. */
export function AlertsForm({ currency, saved, refused }: AlertsFormProps) {
  const isRefused = refused?.intent === 'alerts';
  const typed = NAMES.map((name) => refused?.typed[name] ?? '');
  const { amounts, byMail } = isRefused
    ? { amounts: typed, byMail: 'byMail' in refused.typed }
    : saved;
  const isSaving = useNavigation().formData?.get('intent') === 'alerts';
  const filled = amounts.findLastIndex((amount) => amount !== '') + 1;
  const places = Math.max(PLACES_SHOWN, filled + 1);
  return (
    <CheckedForm intent="alerts" refused={refused} labels={LABELS} className="grid gap-5">
      <p className="text-ink-soft">
        You are told when what you can spend falls below one of these amounts, and again only after
        it has been above.
      </p>
      <div className="grid gap-4 sm:grid-cols-3">
        {NAMES.slice(0, places).map((name, place) => (
          <Field
            key={name}
            name={name}
            label={`${LABELS[name]} (${currency})`}
            inputMode="decimal"
            autoComplete="off"
            defaultValue={amounts[place]}
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
    </CheckedForm>
  );
}

/** What the form says; the server decides whether these are amounts. */
export function readAlertsForm(form: FormData): Alerts {
  return {
    amounts: NAMES.map((name) => String(form.get(name) ?? '').slice(0, 40)),
    byMail: form.has('byMail'),
  };
}

/** The problems of the amounts, which come by their place. */
export function alertErrors(problems: Readonly<Record<number, string>>): FormErrors {
  const fields = NAMES.flatMap((name, place) => {
    const problem = problems[place];
    return problem === undefined ? [] : [[name, problem] as const];
  });
  return { fields: Object.fromEntries(fields) };
}
