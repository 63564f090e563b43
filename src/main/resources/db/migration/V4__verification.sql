-- Verification: what each system was last seen to hold, told by a digest, and the runs that compare it.

-- of what was held at the base's ticks, in the system's own form; null: not known, the record is read when it is verified
alter table base add column digest text;

-- the bucket of an id, as the mini-program's contract has it
create function bucket(id text) returns int language sql immutable parallel safe
  return (('x' || encode(substr(sha256(convert_to(id, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint % 1024)::int;

create index base_bucket on base (entity, system, bucket(id), id collate "C") where present;

create table verification_run (
  run         bigint      generated always as identity primary key,
  entity      text        not null,
  origin      text        not null check (origin in ('asked', 'schedule', 'sweep', 'self_test', 'undo')),
  undoes      bigint,                -- the run whose repairs this one takes back
  ids         text[],                -- null: all
  repair      text        not null check (repair in ('none', 'plan', 'apply')),
  state       text        not null default 'queued' check (state in
                ('queued', 'running', 'confirming', 'waiting_for_approval', 'repairing', 'done', 'stopped', 'failed')),
  paused      boolean     not null default false,
  turn        bigint      not null default 0,    -- who took the run last: only that turn may write
  progress    jsonb       not null default '{}', -- {system, after, bucket, ...}: where to go on after a restart
  records     bigint      not null default 0,
  compared    bigint      not null default 0,
  unverified  bigint      not null default 0,
  repaired    bigint      not null default 0,
  told        jsonb       not null default '{}', -- {due, in_doubt, waiting, letters, altered}, {calls, pages}, notes
  asked_by    text,
  approved_by text,
  created_at  timestamptz not null default clock_timestamp(),
  started_at  timestamptz,
  ended_at    timestamptz,
  next_at     timestamptz not null default clock_timestamp()
);
create index verification_run_open on verification_run (next_at) where ended_at is null;
create index verification_run_last on verification_run (entity, run desc);

create table verification_difference (
  id         bigint      generated always as identity primary key,
  run        bigint      not null references verification_run on delete cascade,
  entity     text        not null,
  record_id  text        not null,
  system     text        not null,   -- the end that differs from what it is known to hold
  kind       text,                   -- missing | surplus | field | deleted | status_back; null: not settled yet
  fields     jsonb       not null default '[]', -- [{field, app, mini, golden}]
  changed    jsonb       not null default '{}', -- when each of them was changed last
  found      jsonb,                  -- the record as it was found, whole; of an undo {from: {path: value}, to: {}}
  print      text,                   -- what both ends and the golden record were: the same again means that all was quiet
  rounds     int         not null default 0,
  decision   text,                   -- report | observe | adopt | restate | undo
  state      text        not null default 'candidate' check (state in
               ('candidate', 'confirmed', 'planned', 'repairing', 'repaired', 'superseded', 'unverified', 'undone')),
  at         timestamptz not null default clock_timestamp(),
  looked_at  timestamptz not null default clock_timestamp(),
  unique (run, record_id, system)
);
create index verification_difference_open on verification_difference (run, state, looked_at);

create index verification_difference_record on verification_difference (entity, record_id, id desc);

-- which records were delivered lately
create index history_at on history using brin (at);

-- deltas of the end-to-end histogram, a row a minute and instance: the time to converge of the last hour and day
create table verification_lag (
  at       timestamptz not null default clock_timestamp(),
  entity   text        not null,
  bounds   bigint[]    not null,  -- upper bounds in milliseconds
  counts   bigint[]    not null   -- deliveries within each bound and not within the one before; the last: beyond all
);
create index verification_lag_at on verification_lag (entity, at);

-- what the self-test has put out of the memory, to be put back: bases and golden records (no system) at two steps
create table shadow (
  entity text   not null,
  id     text   not null,
  system text   not null,
  step   text   not null check (step in ('from', 'to')),
  run    bigint not null,
  kept   jsonb  not null,
  primary key (entity, id, system, step)
);
