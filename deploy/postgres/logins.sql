-- PHANTOM's database and its three logins: the owner, who migrates; the application, one tenant at a time; the system,
-- the platform's own tables. Once, as the server's administrator; again to change the passwords. Passwords come from
-- the environment, so that no command line shows them:
--
--   export PHANTOM_OWNER_PASSWORD=… PHANTOM_APP_PASSWORD=… PHANTOM_SYSTEM_PASSWORD=…
--   psql "postgresql://administrator@host/postgres" -f deploy/postgres/logins.sql
--
-- `phantom migrate` does the rest: schema, group roles, row-level security, memberships.

\set ON_ERROR_STOP on
\getenv owner_password PHANTOM_OWNER_PASSWORD
\getenv app_password PHANTOM_APP_PASSWORD
\getenv system_password PHANTOM_SYSTEM_PASSWORD

-- The owner makes the two group roles, hence CREATEROLE; it is no superuser, and nothing of ours needs one.
select format('create role %I login', name)
from unnest(array['phantom_owner', 'phantom_app', 'phantom_system']) as name
where not exists (select from pg_roles where rolname = name) \gexec

alter role phantom_owner createrole password :'owner_password';
alter role phantom_app password :'app_password';
alter role phantom_system password :'system_password';

-- A managed service's administrator is no superuser either: to make a database for the owner it must be a member.
select format('grant phantom_owner to %I', current_user)
where not (select rolsuper from pg_roles where rolname = current_user)
    and not pg_has_role(current_user, 'phantom_owner', 'set') \gexec

select 'create database phantom owner phantom_owner encoding ''UTF8'' template template0'
where not exists (select from pg_database where datname = 'phantom') \gexec

-- Nobody else has business in it.
revoke connect, temporary on database phantom from public;
grant connect on database phantom to phantom_app, phantom_system;
