import { Form, useNavigation } from '@remix-run/react';
import type { AutoTopUpView } from '../../server/http/views/auto-top-ups.ts';
import { type FormErrors, useFocusFirstError } from '../form-errors.ts';
import { formatMoney, microsToAmount } from '../format.ts';
import type { Wire } from '../wire.ts';
import { Button } from './button.tsx';
import { Field } from './field.tsx';
import { Notice } from './notice.tsx';

interface AutoTopUpFormProps {
  view: Wire<AutoTopUpView>;
  errors: FormErrors | undefined;
}

/** The terms, and the consent to them. Each change is agreed to anew. */
export function AutoTopUpForm({ view, errors }: AutoTopUpFormProps) {
  const { settings, limits, currency, consent } = view;
  const busy = useNavigation().formData?.get('intent') === 'save';
  const formRef = useFocusFirstError(errors);
  const amount = (micros: string) => microsToAmount(BigInt(micros), limits.exponent);
  const preset = (index: number) => amount(limits.presetsMicros[index] ?? limits.minMicros);
  const money = {
    inputMode: 'decimal',
    autoComplete: 'off',
    required: true,
    className: 'tabular-nums',
  } as const;
  return (
    <Form method="post" ref={formRef} noValidate className="grid gap-5">
      {errors?.form && (
        <Notice tone="danger" alert>
          {errors.form}
        </Notice>
      )}
      <Field
        {...money}
        name="threshold"
        label={`When less than this is available (${currency})`}
        defaultValue={settings ? amount(settings.thresholdMicros) : preset(0)}
        error={errors?.fields.threshold}
      />
      <fieldset className="grid gap-2">
        <legend className="mb-1.5 font-medium">Then</legend>
        <Choice
          value="restore"
          label="charge what restores the amount below"
          defaultChecked={settings?.mode !== 'add'}
        />
        <Choice
          value="add"
          label="add the amount below, as many times as it takes"
          defaultChecked={settings?.mode === 'add'}
        />
      </fieldset>
      <Field
        {...money}
        name="amount"
        label={`Amount (${currency})`}
        hint={`One charge is from ${formatMoney(limits.minMicros, currency)} to ${formatMoney(limits.maxMicros, currency)}.`}
        defaultValue={settings ? amount(settings.amountMicros) : preset(1)}
        error={errors?.fields.amount}
      />
      <Field
        {...money}
        name="monthlyCap"
        label={`Never more than this in a month (${currency})`}
        hint="Calendar months in your time zone."
        defaultValue={settings ? amount(settings.monthlyCapMicros) : preset(3)}
        error={errors?.fields.monthlyCap}
      />
      <div className="grid gap-1.5">
        <label className="flex items-start gap-3">
          <input
            type="checkbox"
            name="consent"
            value={consent.version}
            required
            aria-invalid={errors?.fields.consent ? true : undefined}
            aria-describedby={errors?.fields.consent ? 'consent-error' : undefined}
            className="mt-1 size-5 shrink-0 accent-accent"
          />
          <span>{consent.text}</span>
        </label>
        {errors?.fields.consent && (
          <p id="consent-error" role="alert" className="text-sm font-medium text-danger">
            {errors.fields.consent}
          </p>
        )}
      </div>
      <Button name="intent" value="save" busy={busy} className="justify-self-start">
        {settings === null || settings.status === 'off' ? 'Turn on' : 'Save'}
      </Button>
    </Form>
  );
}

function Choice({
  value,
  label,
  defaultChecked,
}: {
  value: string;
  label: string;
  defaultChecked: boolean;
}) {
  return (
    <label className="flex min-h-8 items-center gap-3">
      <input
        type="radio"
        name="mode"
        value={value}
        defaultChecked={defaultChecked}
        className="size-5 shrink-0 accent-accent"
      />
      {label}
    </label>
  );
}
