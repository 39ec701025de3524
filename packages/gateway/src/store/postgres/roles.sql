-- Roles with no more rights than they need. Run by the owner of the database, before the first migration and
-- again after each one, in the database itself; running it twice changes nothing:
--
--   psql --single-transaction -v ON_ERROR_STOP=1 -d <database> -f roles.sql
--
-- Nobody signs in as one of these roles. Make a user for each purpose and grant it one of them:
--
--   create role gateway login password '...' in role countersign_app;
--   create role upgrades login password '...' in role countersign_migrator;
--   alter role upgrades set role countersign_migrator;  -- so that the tables belong to the role, not to the user

do $$
declare
  role text;
  entry record;
begin
  foreach role in array array['countersign_migrator', 'countersign_app', 'countersign_console'] loop
    if not exists (select from pg_roles where rolname = role) then
      execute format('create role %I nologin', role);
    end if;
    execute format('grant connect on database %I to %I', current_database(), role);
  end loop;

  -- Nobody else gets in, and nobody but the migrator makes anything here.
  execute format('revoke connect, temporary on database %I from public', current_database());
  execute format('revoke create on schema %I from public', current_schema());
  execute format('grant usage, create on schema %I to countersign_migrator', current_schema());
  execute format('grant usage on schema %I to countersign_app, countersign_console', current_schema());

  -- A table that a later version adds stands in the roles.sql of that version: until this is run again, the
  -- gateway cannot reach it. The audit log and the change log only ever grow.
  for entry in
    select * from (values
      ('countersign_app', 'select, insert', 'accounts'),
      ('countersign_app', 'select, insert, update', 'api_keys'),
      ('countersign_app', 'select, insert', 'audit'),
      ('countersign_app', 'select, insert, update', 'challenges'),
      ('countersign_app', 'select, insert', 'changes'),
      ('countersign_app', 'select, insert, update', 'handshake_tokens'),
      ('countersign_app', 'select', 'kysely_migration'),
      ('countersign_app', 'select, update', 'probe'),
      ('countersign_app', 'select, insert, delete', 'lease_holders'),
      ('countersign_app', 'select, update', 'lease_sequence'),
      ('countersign_app', 'select, insert, update, delete', 'leases'),
      ('countersign_app', 'select, insert, update, delete', 'nodes'),
      ('countersign_app', 'select, insert, update, delete', 'refresh_tokens'),
      ('countersign_app', 'select, insert, update, delete', 'sessions'),
      ('countersign_app', 'select, insert, delete', 'signing_keys'),
      ('countersign_app', 'select, update', 'signing_key_set'),
      ('countersign_app', 'select, insert, update', 'users'),
      -- No digests, no wrapped keys, no sealed tokens: none is a credential, and none is anybody's business.
      ('countersign_console', 'select', 'accounts'),
      ('countersign_console', 'select', 'api_keys'),
      ('countersign_console', 'select', 'audit'),
      ('countersign_console', 'select', 'changes'),
      ('countersign_console', 'select (token_id, user_id, name, permissions, tier, allowed_ips, created_at,
        expires_at, revoked_at, replaced_by, last_used_at, connects, requests)', 'handshake_tokens'),
      ('countersign_console', 'select', 'lease_holders'),
      ('countersign_console', 'select (id, kind, subject, seconds, state, sequence, event_id, armed_at, left_at,
        due_at, gone_at, attempts, next_attempt_at, give_up_at, outcome, ended_at)', 'leases'),
      ('countersign_console', 'select', 'nodes'),
      ('countersign_console', 'select', 'sessions'),
      ('countersign_console', 'select (kid, position, alg, public_jwk, state, created_at, activated_at,
        retired_at)', 'signing_keys'),
      ('countersign_console', 'select', 'users')
    ) as rights (grantee, privileges, name)
  loop
    if to_regclass(entry.name) is not null then
      execute format('revoke all on %I from %I', entry.name, entry.grantee);
      execute format('grant %s on %I to %I', entry.privileges, entry.name, entry.grantee);
    end if;
  end loop;
end
$$;
