-- The dead-letter desk: every failure of a letter, what is known of its group, and retries that survive a restart.

alter table dead_letter add column if not exists closed_at timestamptz; -- when it was resolved, superseded or discarded; retention counts from here
update dead_letter set closed_at = last_failed_at where state not in ('open', 'retrying') and closed_at is null;
create index dead_letter_group on dead_letter (failure_group, id desc);
create index dead_letter_open_group on dead_letter (failure_group) include (record_id) where state in ('open', 'retrying');

-- each time that a letter's message failed; a failure that is told twice is known by its event
create table dead_letter_attempt (
  event_id text        primary key,
  letter   bigint      not null references dead_letter on delete cascade,
  at       timestamptz not null,
  version  bigint,
  error    jsonb       not null
);
create index dead_letter_attempt_letter on dead_letter_attempt (letter, at);
insert into dead_letter_attempt select event_id, id, last_failed_at, version, error from dead_letter;

-- what people know of a cause; it outlives the letters
create table letter_group (
  id         text        primary key,
  entity     text        not null,
  system     text        not null,
  route      text        not null,
  step       text,
  error      jsonb       not null,           -- of its newest letter
  first_seen timestamptz not null,
  last_seen  timestamptz not null,
  arrivals   bigint      not null default 0, -- letters and failed retries so far
  state      text        not null default 'new' check (state in ('new', 'acknowledged', 'fixed', 'ignored')),
  note       text,
  changed_by text,
  changed_at timestamptz
);
insert into letter_group (id, entity, system, route, step, error, first_seen, last_seen, arrivals)
select distinct on (failure_group) failure_group, entity, system, route, step, error,
  min(first_failed_at) over w, max(last_failed_at) over w, sum(attempts) over w
from dead_letter window w as (partition by failure_group)
order by failure_group, id desc;

-- what a webhook was told of a group
create table letter_alarm (
  letter_group text        not null references letter_group on delete cascade,
  target       text        not null,
  told_open    bigint      not null,
  told_at      timestamptz not null,
  primary key (letter_group, target)
);

-- a retry of a set of letters, frozen when it was asked for
create table retry_operation (
  id             bigint      generated always as identity primary key,
  state          text        not null check (state in ('running', 'paused', 'done', 'cancelled')),
  filter         jsonb       not null,
  call_key       text        unique,          -- the same call twice is one
  reason         text,
  asked_by       text        not null,
  patch          jsonb,                       -- of a single letter's edit; forgotten when it is done
  rate           numeric,                     -- letters a second, null as fast as they go
  canary         int         not null default 0,
  stop_at        numeric     not null default 1, -- share of failures at which it pauses by itself
  total          int         not null default 0,
  window_from    int         not null default 0, -- canary and share are judged by the items after this one
  paused_because text,
  paced_at       timestamptz not null default clock_timestamp(), -- up to when the rate is used up
  created_at     timestamptz not null default clock_timestamp(),
  ended_at       timestamptz
);
create index retry_operation_running on retry_operation (id) where state = 'running';

-- one letter of a retry; it ends in exactly one state
create table retry_item (
  operation bigint      not null references retry_operation on delete cascade,
  position  int         not null,
  letter    bigint      not null references dead_letter on delete cascade,
  state     text        not null default 'pending'
    check (state in ('pending', 'taken', 'sent', 'succeeded', 'failed_again', 'skipped', 'cancelled')),
  note      text,
  sent_at   timestamptz,
  ended_at  timestamptz,
  primary key (operation, position)
);
-- no letter is in two retries at a time
create unique index retry_item_active on retry_item (letter) where state in ('pending', 'taken', 'sent');
create index retry_item_in_flight on retry_item (operation, position) where state in ('taken', 'sent');
create index retry_item_waiting on retry_item (operation, position) where state = 'pending';
create index retry_item_letter on retry_item (letter);
