/**
 * The bank's side of 3-D Secure, in a frame of the paying page or, with a return URL, as a page
 * that the browser was sent to.
 */
const params = new URLSearchParams(location.search);
const intent = params.get('intent') ?? '';
const clientSecret = params.get('client_secret') ?? '';
const returnUrl = params.get('return_url');

/** @param {{ id: string, object: string, status: string }} answered */
function leave(answered) {
  if (returnUrl === null) {
    parent.postMessage({ challenge: intent, answered: true }, '*');
    return;
  }
  const target = new URL(returnUrl);
  if (target.protocol !== 'http:' && target.protocol !== 'https:') return;
  target.searchParams.set(answered.object, answered.id);
  target.searchParams.set(`${answered.object}_client_secret`, clientSecret);
  const failed = answered.status === 'requires_payment_method';
  target.searchParams.set('redirect_status', failed ? 'failed' : 'succeeded');
  location.replace(target);
}

/** @param {'complete' | 'fail'} outcome */
async function answer(outcome) {
  for (const button of document.querySelectorAll('button')) button.disabled = true;
  const body = new URLSearchParams({ intent, client_secret: clientSecret, outcome });
  const response = await fetch('/endive/three-d-secure', { method: 'POST', body });
  const answered = await response.json();
  if (response.ok) leave(answered);
  else if (problem) problem.textContent = answered.error.message;
}

const problem = document.getElementById('problem');
document.getElementById('complete')?.addEventListener('click', () => answer('complete'));
document.getElementById('fail')?.addEventListener('click', () => answer('fail'));

export {};
