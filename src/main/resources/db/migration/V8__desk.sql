-- The desk's pages read the open letters narrowly: letters are wide, and thousands of them may be open.

drop index dead_letter_open_group;
create index dead_letter_open_group on dead_letter (failure_group, record_id) include (state, first_failed_at)
  where state in ('open', 'retrying');
create index dead_letter_open_at on dead_letter (entity, system, first_failed_at) include (state)
  where state in ('open', 'retrying');
create index dead_letter_open_route on dead_letter (route, id) where state in ('open', 'retrying');
create index dead_letter_open_id on dead_letter (id) where state in ('open', 'retrying');
