import { type ActionFunctionArgs, redirect } from '@remix-run/node';

/** Opened by its address, it changes nothing: signing out takes the form in the header. */
export function loader() {
  return redirect('/');
}

export async function action({ request, context }: ActionFunctionArgs) {
  const setCookie = await context.services.accounts.signOut(request.headers.get('Cookie'));
  return redirect('/login', { headers: { 'Set-Cookie': setCookie } });
}
