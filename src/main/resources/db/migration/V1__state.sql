-- Twinsync's own memory, schema sync. Everything an operator may ask is one SELECT away.

-- What each change writes is json, not jsonb: it is written and read whole, and that costs a third as text.

-- the one clock that all instances share
create sequence tick cache 1;

create table golden (
  entity     text        not null,
  id         text        not null,
  version    bigint      not null,
  held       json        not null default '{}', -- path -> value; a path that was cleared has none
  origins    json        not null default '[]', -- [{n: version, s: system, t: time, f: [path]}], each path once
  updated_at timestamptz not null default clock_timestamp(),
  primary key (entity, id)
) with (fillfactor = 50); -- a bulk of changes writes each row of a page once more

create table base (
  entity      text        not null,
  id          text        not null,
  system      text        not null,
  known       boolean     not null default false,
  present     boolean     not null default false,
  held        json        not null default '{}', -- path -> value
  position    text,
  tick_began  bigint      not null default -2,
  tick_ended  bigint      not null default -1,
  doubt       boolean     not null default false,
  doubt_at    bigint      not null default -1,
  detail      json,                  -- {unusable: [], intents: {}, sent: {}, wrote: text}, null when all are empty
  seen        bigint      not null default 0,
  revision    bigint      not null default 1, -- of a base that is stored nowhere yet: 0
  waiting_for text[],                -- required fields that are not there yet
  refused     bigint,                -- the golden version that this system refused for good: a letter is open
  key_number  int         not null default 0, -- how many keys the version under delivery has used: entity/id/version.n
  key_guard   text,                  -- the position that the last of them was sent with, null for none
  observed_at timestamptz,
  primary key (entity, id, system)
) with (fillfactor = 60); -- a change writes a base a few times: what no index holds is written in place
-- who waits for a record that is still on its way
create index base_waiting on base (system, entity, id) where waiting_for is not null;
-- what a key sweep compares with the keys that the system still has
create index base_keys on base (entity, system, id collate "C") where present;

-- what a system is owed; narrow, since it comes and goes with every change
create table due (
  entity  text        not null,
  id      text        not null,
  system  text        not null,
  since   timestamptz not null default clock_timestamp(),
  version bigint      not null, -- the newest golden version by which it was judged
  primary key (entity, id, system)
);
-- what share of a table is of one entity changes within minutes at a first load: the planner is not to think it knows
alter table golden alter column entity set statistics 0;
alter table base alter column entity set statistics 0;
alter table due alter column entity set statistics 0;
-- a refused or waiting record stays due: the sweep passes over it, the operator sees it
create index due_since on due (entity, system, since, id);

create table conflict (
  id            bigint generated always as identity primary key,
  entity        text        not null,
  record_id     text        not null,
  path          text        not null,
  system        text        not null,   -- whose value lost
  losing        jsonb,
  winning       jsonb,
  winner        text,
  rule          text        not null,
  field_version bigint      not null,   -- the golden field's version when it was shown
  at            timestamptz not null default clock_timestamp(),
  state         text        not null default 'open' check (state in ('open', 'restored', 'closed'))
);
create index conflict_record on conflict (entity, record_id, id desc);
create index conflict_open on conflict (entity, record_id, path) where state = 'open';

create table cursor (
  name       text        primary key,
  value      jsonb       not null,
  updated_at timestamptz not null default clock_timestamp()
);

-- partitions a day are made ahead and dropped after the retention
create table history (
  at      timestamptz not null default clock_timestamp(),
  seq     bigint      generated always as identity,
  entity  text        not null,
  id      text        not null,
  kind    text        not null,
  system  text,
  version bigint,
  fields  json,                  -- path -> {from, to}
  rule    text,
  loser   json,
  note    text
) partition by range (at);
create table history_default partition of history default;
create index history_record on history (entity, id, at desc, seq desc);

create table dead_letter (
  id              bigint generated always as identity primary key,
  event_id        text        not null unique,    -- the letter's own id: stored twice it is one
  state           text        not null check (state in ('open', 'retrying', 'resolved', 'superseded', 'discarded')),
  superseded_by   bigint,
  entity          text        not null,
  record_id       text        not null,
  system          text        not null,
  slot            text        not null default '', -- what of the record: '' the delivery, else the unusable field
  route           text        not null,
  step            text,
  file            text,
  failure_group   text        not null,
  version         bigint,
  error           jsonb       not null,
  attempts        int         not null,
  first_failed_at timestamptz not null,
  last_failed_at  timestamptz not null,
  message         bytea,
  headers         jsonb       not null,
  request         jsonb,
  systems         jsonb,
  retries         jsonb       not null default '[]',
  reason          text
);
create unique index dead_letter_one_open on dead_letter (entity, record_id, system, slot) where state in ('open', 'retrying');
create index dead_letter_list on dead_letter (state, id desc);
create index dead_letter_record on dead_letter (entity, record_id, id desc);

-- the same Idempotency-Key of a backend's push gives the same event
create table push_key (
  system   text        not null,
  key      text        not null,
  body     bytea       not null,
  event_id text        not null,
  at       timestamptz not null default clock_timestamp(),
  primary key (system, key)
);
create index push_key_at on push_key (at);
