-- Whether another card may be asked is read by the program. A suspended wallet takes payments.

grant execute on function takes_payments(wallets), is_suspended(wallets) to wallet_app;
