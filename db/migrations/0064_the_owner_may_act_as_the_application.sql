-- Who makes a role is its member, but since PostgreSQL 16 such a member may grant the role and not
-- act as it. An owner that is no superuser, as on a managed server, could migrate and then not start.
do $$
declare
  acting text := case when current_setting('server_version_num')::int < 160000
    then 'member' else 'set' end;
begin
  if not pg_has_role(current_user, 'wallet_app', acting) then
    execute format('grant wallet_app to %I', current_user);
  end if;
end $$;
