-- who did what, when, why, and what came of it
create table audit (
  id       bigint      generated always as identity primary key,
  at       timestamptz not null default clock_timestamp(),
  who      text        not null,
  act      text        not null,   -- <noun>.<verb>: record.reveal, letter.retry
  kind     text,                   -- what the target is: an entity, letter, conflict, flow
  target   text,
  reason   text,
  detail   jsonb,
  result   text        not null check (result in ('begun', 'done', 'refused')), -- begun and never ended: cut off
  note     text,                   -- why it was refused
  ended_at timestamptz
);
create index audit_at on audit (at);
create index audit_target on audit (kind, target, id desc);

-- flows that a person stopped or paused stay so when the service starts again
create table flow_stop (
  flow   text        primary key,
  state  text        not null check (state in ('stopped', 'paused')),
  who    text        not null,
  reason text        not null,
  at     timestamptz not null default clock_timestamp()
);
