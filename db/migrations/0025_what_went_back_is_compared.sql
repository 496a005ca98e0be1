-- Refunds and disputes of a span of time, which are compared with Stripe's lists.
create index payment_refunds_made on payment_refunds (created_at);
create index payment_disputes_opened on payment_disputes (created_at);
