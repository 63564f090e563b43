-- How the keys of what changed are learned, where each log stands, and the first load.

-- the scheme that was asked for; without a row the environment decides
create table capture_scheme (
  system  text        primary key,
  scheme  text        not null,
  set_by  text        not null,
  set_at  timestamptz not null default clock_timestamp()
);

-- the scheme that captures now, whoever asked for it
create table capture_running (
  system text        primary key,
  scheme text        not null,
  since  timestamptz not null default clock_timestamp()
);

-- one row a flow that reads a database's log; its owner is the one instance that reads
create table table_log (
  name        text        primary key,  -- the flow
  slot        text,                     -- the replication slot that this row's position belongs to, null: none
  position    bigint,                   -- up to here, in bytes of the log, everything is in Kafka
  owner       text,
  lease_until timestamptz not null default '-infinity',
  streaming   boolean     not null default false
);

create table backfill (
  id         bigint generated always as identity primary key,
  entity     text        not null,
  systems    text[]      not null,
  dry_run    boolean     not null,
  rate       int         not null,      -- records a second, 0: no bound
  reason     text        not null,
  state      text        not null default 'queued' check (state in ('queued', 'running', 'done', 'cancelled', 'failed')),
  after      text        not null default '', -- the last key that is done with
  done       bigint      not null default 0,
  total      bigint,
  counts     jsonb       not null default '{}',
  waits_for  text,
  queued_at  timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  worked_ms  bigint      not null default 0,
  ended_at   timestamptz
);
create index backfill_open on backfill (entity, id) where state in ('queued', 'running');

-- records that both ends had and that differed, and users that look like one person
create table backfill_difference (
  backfill  bigint not null references backfill on delete cascade,
  seq       bigint generated always as identity,
  record_id text   not null,
  kind      text   not null check (kind in ('differs', 'same_person')),
  fields    jsonb  not null,
  primary key (backfill, seq)
);

-- digests of what names a person, only as long as a backfill runs
create table backfill_person (
  backfill  bigint not null references backfill on delete cascade,
  field     text   not null,
  mark      bytea  not null,
  record_id text   not null,
  primary key (backfill, field, mark, record_id)
);
