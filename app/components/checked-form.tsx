import { Form, type FormProps } from '@remix-run/react';
import { createContext, type MouseEvent, type ReactNode, useContext } from 'react';
import { type RefusedForm, useFocusFirstError } from '../form-errors.ts';
import { Notice } from './notice.tsx';

/** The form around a field as it was refused; null outside of forms and before. */
const RefusedContext = createContext<RefusedForm | null>(null);

interface CheckedFormProps extends Omit<FormProps, 'method' | 'ref' | 'noValidate'> {
  /** Which of the page's forms this is; it is sent along. A page's only form needs none. */
  intent?: string;
  /** The form of this page that was sent and not accepted, this one or another. */
  refused: RefusedForm | undefined;
  /** What fields are called above the form, where their messages do not say it themselves. */
  labels?: Readonly<Record<string, string>>;
  children: ReactNode;
}

/**
 * A form whose fields the server checks. When it refuses them, each wrong field says why, the first
 * one has the focus, two and more are summed up on top, and what was typed stays.
 */
export function CheckedForm(props: CheckedFormProps) {
  const { intent, refused, labels = {}, children, ...form } = props;
  const own = intent === undefined || refused?.intent === intent ? refused : undefined;
  const formRef = useFocusFirstError(own);
  return (
    <Form {...form} method="post" ref={formRef} noValidate>
      {intent !== undefined && <input type="hidden" name="intent" value={intent} />}
      {own && <Summary refused={own} labels={labels} />}
      <RefusedContext.Provider value={own ?? null}>{children}</RefusedContext.Provider>
    </Form>
  );
}

interface SummaryProps {
  refused: RefusedForm;
  labels: Readonly<Record<string, string>>;
}

function Summary({ refused, labels }: SummaryProps) {
  const wrong = Object.entries(refused.fields);
  const isSummedUp = needsSummary(refused);
  if (!refused.form && !isSummedUp) return null;
  return (
    <div className="col-span-full">
      <Notice tone="danger" alert>
        {refused.form && <p>{refused.form}</p>}
        {isSummedUp && (
          <>
            <p className="font-semibold">{wrong.length} fields are not right yet:</p>
            <ul className="list-disc pl-5">
              {wrong.map(([name, message]) => (
                <li key={name}>
                  <a href={`#${name}`} onClick={focusField} className="underline">
                    {labels[name] === undefined ? message : `${labels[name]}: ${message}`}
                  </a>
                </li>
              ))}
            </ul>
          </>
        )}
      </Notice>
    </div>
  );
}

/** The router would take the way to a part of this page for one to another, and forget the errors. */
function focusField(event: MouseEvent<HTMLAnchorElement>) {
  event.preventDefault();
  document.getElementById(event.currentTarget.hash.slice(1))?.focus();
}

function needsSummary({ fields }: RefusedForm): boolean {
  return Object.keys(fields).length > 1;
}

/** How the form around it was refused as far as one field goes. */
export function useRefusedField(name: string) {
  const refused = useContext(RefusedContext);
  return {
    error: refused?.fields[name],
    /** What was typed; undefined before anything was refused. */
    typed: refused?.typed[name],
    /** The summary has said it already. */
    isToldAbove: refused !== null && needsSummary(refused),
  };
}
