-- What housekeeping needs: days of history made ahead, and when a letter was closed.

-- Makes the partitions of `days` days from `first` on. A day of which rows lie in the default partition already is passed
-- over: those rows stay where they are until they expire. Attaching takes no lock that an insert into another day waits
-- for.
create function history_days(first date, days int) returns int language plpgsql as $$
declare
  day  date;
  name text;
  made int := 0;
begin
  for day in select first + n from generate_series(0, days - 1) n loop
    name := 'history_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass(name) is not null
      or exists (select from history_default
                 where at >= day::timestamp at time zone 'UTC' and at < (day + 1)::timestamp at time zone 'UTC');
    execute format('create table %I (like history including defaults)', name);
    execute format('alter table history attach partition %I for values from (%L) to (%L)',
      name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    made := made + 1;
  end loop;
  return made;
end $$;

select history_days((clock_timestamp() at time zone 'UTC')::date, 8);

-- whoever closes or reopens a letter, the time is noted
alter table dead_letter add column closed_at timestamptz;
update dead_letter set closed_at = last_failed_at where state in ('resolved', 'superseded', 'discarded');
create index dead_letter_closed on dead_letter (closed_at) where closed_at is not null;

create function dead_letter_closed() returns trigger language plpgsql as $$
begin
  if new.state in ('open', 'retrying') then
    new.closed_at := null;
  elsif new.closed_at is null then
    new.closed_at := clock_timestamp();
  end if;
  return new;
end $$;
create trigger dead_letter_closed before insert or update of state on dead_letter
  for each row execute function dead_letter_closed();
