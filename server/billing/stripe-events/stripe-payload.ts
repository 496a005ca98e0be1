/** A webhook's body for the eyes of the support staff. */
import { scrubJson } from '../../scrub.ts';

/** Fields that hold what a person is called, where they are, or what they wrote: nothing in them is shown. */
const PERSONAL =
  /^(?:name|email|phone|address|shipping|billing_details|evidence|tax_ids?|description|receipt_email|receipt_url|receipt_number|line[12]|city|state|postal_code|country|ip|ip_address|ip_country|customer_(?:name|email|email_address|phone|address|details|purchase_ip|signature)|client_secret|next_action|fingerprint|birthdate|dob|first_name|last_name)$/;

/** The payload as indented JSON, without personal data, secrets and free text about people. */
export function withoutPersonalData(payload: unknown): string {
  const hidden = JSON.stringify(payload, (key, value: unknown) =>
    PERSONAL.test(key) && value !== null ? '[redacted]' : value,
  );
  return JSON.stringify(JSON.parse(scrubJson(hidden ?? 'null')), null, 2);
}
