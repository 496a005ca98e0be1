import { type ActionFunctionArgs, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData } from '@remix-run/react';
import { CredentialsForm } from '../components/credentials-form.tsx';
import { TextLink } from '../components/text-link.tsx';
import { submitCredentials } from '../credentials.server.ts';
import { pageTitle } from '../page-meta.ts';

export const meta = pageTitle('Create account');

export function loader({ context }: LoaderFunctionArgs) {
  if (context.user !== null) throw redirect('/account');
  return null;
}

export function action({ request, context }: ActionFunctionArgs) {
  return submitCredentials(request, ({ email, password }) =>
    context.services.accounts.signUp({ email, password, ip: context.ip }),
  );
}

export default function SignupPage() {
  const answer = useActionData<typeof action>();
  return (
    <CredentialsForm
      title="Create account"
      submitLabel="Create account"
      passwordAutoComplete="new-password"
      passwordHint="At least 8 characters. A few words in a row are easy to remember and hard to guess."
      refused={answer?.refused}
      footer={
        <>
          Already have an account? <TextLink to="/login">Sign in</TextLink>
        </>
      }
    />
  );
}
