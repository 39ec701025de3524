-- After an older backup has been restored, and before any gateway is started on it: ends every session that the
-- backup holds as live, since some of them were ended after it was taken. People log in again.
--
--   psql --single-transaction -v ON_ERROR_STOP=1 -d <database> -f after-restore.sql

with instant as (
  select floor(extract(epoch from now()) * 1000)::bigint as now
), ended as (
  update sessions set revoked_at = instant.now, revoke_reason = 'backup-restored'
  from instant
  where revoked_at is null and expires_at > instant.now
  returning sid, revoked_at
)
insert into changes (at, kind, subject, reason)
select revoked_at, 'session-ended', sid, 'backup-restored' from ended;
